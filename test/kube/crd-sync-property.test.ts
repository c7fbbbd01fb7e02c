/** Whatever is written on both sides, and whatever is cut or killed meanwhile: both end up the same, and nothing is lost unlisted. */
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { codeOf } from "#base/errors.ts";
import { systemClock } from "#base/clock.ts";
import { eventually } from "../support/eventually.ts";
import { type World, Worlds, entry, wordOf } from "./crd-sync-world.ts";

const resources = new AsyncDisposableStack();
let worlds: Worlds;

beforeAll(async () => {
  worlds = await Worlds.start(resources);
});
afterAll(() => resources.disposeAsync());

const side = fc.constantFrom("mesh" as const, "member" as const);
const place = fc.record({ namespace: fc.constantFrom("shop", "till"), name: fc.constantFrom("a", "b", "c") });
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("write" as const), side, place }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constant("delete" as const), side, place }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constant("wait" as const), ms: fc.integer({ min: 0, max: 300 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("cut" as const), side }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("mend" as const), side }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("kill" as const) }) },
);

/** What users did: each word is written once. */
class Users {
  readonly written = new Set<string>();
  /** Words that a user saw and wrote over, or deleted. */
  readonly seen = new Set<string>();
  readonly deleted: { readonly at: string; readonly word: string }[] = [];

  /** Writes a new word over what is there now, or where nothing is. */
  async write(world: World, at: { readonly namespace: string; readonly name: string }): Promise<void> {
    const word = `w${this.written.size}`;
    await again(async () => {
      const there = await world.entries.find(at);
      const wanted = entry(at.namespace, at.name, word);
      if (there) await world.entries.replace({ ...there, ...wanted, metadata: there.metadata });
      else await world.entries.create(wanted);
      if (there) this.seen.add(wordOf(there));
      this.written.add(word);
    });
  }

  async delete(world: World, at: { readonly namespace: string; readonly name: string }): Promise<void> {
    await again(async () => {
      const there = await world.entries.find(at);
      if (!there) return;
      await world.entries.delete(at, { resourceVersion: there.metadata.resourceVersion });
      this.seen.add(wordOf(there));
      this.deleted.push({ at: `${at.namespace}/${at.name}`, word: wordOf(there) });
    });
  }
}

/** Does as users do whose write met another. */
async function again(work: () => Promise<void>): Promise<void> {
  for (;;) {
    try {
      await work();
      return;
    } catch (error) {
      if (!["Conflict", "AlreadyExists", "NotFound"].includes(codeOf(error))) throw error;
    }
  }
}

test("both sides converge, and no write is lost without being listed", { timeout: 120_000 }, async () => {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { minLength: 30, maxLength: 60 }), async (steps) => {
      await using keeper = await worlds.keeper();
      const users = new Users();
      keeper.start();
      for (const each of steps) {
        if (each.kind === "write") await users.write(keeper[each.side], each.place);
        else if (each.kind === "delete") await users.delete(keeper[each.side], each.place);
        else if (each.kind === "wait") await systemClock.sleep(each.ms);
        else if (each.kind === "cut") keeper[each.side].front.behave({ kind: "away" });
        else if (each.kind === "mend") keeper[each.side].front.behave({ kind: "well" });
        else {
          await keeper.kill();
          keeper.start();
        }
      }
      for (const world of [keeper.mesh, keeper.member]) world.front.behave({ kind: "well" });
      // What comes after everything else shows that all of it was looked at.
      await keeper.mesh.make("last", "last");
      const final = await eventually(
        "both sides are the same",
        async () => {
          const [mesh, member] = [await keeper.mesh.words(), await keeper.member.words()];
          const drift = await keeper.drift();
          const same =
            JSON.stringify(Object.entries(mesh).toSorted(byName)) ===
            JSON.stringify(Object.entries(member).toSorted(byName));
          return same && "shop/last" in mesh && drift?.total === 0 ? mesh : undefined;
        },
        60_000,
      );
      const stands = new Set(Object.values(final));
      const kept = await keeper.kept();
      const keptWords = new Set(
        kept.map(({ content }) => wordOf((content?.["body"] ?? {}) as Record<string, unknown>)),
      );
      const lost = [...users.written].filter(
        (word) => !stands.has(word) && !users.seen.has(word) && !keptWords.has(word),
      );
      expect(lost).toEqual([]);
      const undone = users.deleted.filter(
        ({ at, word }) =>
          stands.has(word) && !kept.some(({ object, content }) => object.endsWith(` ${at}`) && !content),
      );
      expect(undone).toEqual([]);
    }),
    { numRuns: 4, endOnFailure: true },
  );
});

function byName([one]: [string, string], [other]: [string, string]): number {
  return one < other ? -1 : 1;
}

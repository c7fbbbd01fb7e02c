import * as fc from "fast-check";
import { expect, test } from "vitest";
import { silentLogger } from "#base/logger.ts";
import { runs } from "#base/testing/runs.ts";
import { typeUrls } from "#proto/encoded.ts";
import { ScopeStore } from "./store.ts";
import { cluster } from "./testing/resources.ts";
import { TableSource } from "./testing/table-source.ts";

const names = ["a", "b", "c", "d", "e"];
const forms = [0, 1, 2].map((form) => new Map(names.map((name) => [name, cluster(name, 100 + form)])));

/** Somebody who stands where he stood last, and what he saw there. */
class Standing {
  at = 0;
  seen: ReadonlyMap<string, string> = new Map();
  readonly position = (): number => this.at;
  readonly due = (): void => undefined;
}

type Step = { readonly edits: readonly { readonly name: number; readonly form: number }[]; readonly move: number };

const someStep: fc.Arbitrary<Step> = fc.record({
  edits: fc.array(fc.record({ name: fc.nat(4), form: fc.nat(3) }), { minLength: 1, maxLength: 3 }),
  move: fc.nat(30),
});

test("whoever lags learns exactly what changed since, however much was forgotten meanwhile", () => {
  fc.assert(
    fc.property(fc.array(someStep, { minLength: 100, maxLength: 300, size: "max" }), (steps) => {
      const source = new TableSource();
      using store = new ScopeStore({
        engine: source.engine,
        source,
        logger: silentLogger,
        unknownNames: 1000,
        changed: () => undefined,
      });
      const standings = [new Standing(), new Standing(), new Standing()];
      const holder = { position: () => undefined, due: () => undefined };
      const view = store.hold(typeUrls.cluster, ["s"], { wildcard: true, names: store.sets.empty }, holder);
      const visible = () => new Map([...view.resources()].map(({ name, version }) => [name, version]));
      for (const standing of standings) {
        store.share(view, standing);
        standing.at = view.revision;
      }
      for (const { edits, move } of steps) {
        source.change(() => {
          for (const { name, form } of edits) {
            const resource = forms[form]?.get(names[name] ?? "");
            if (resource) source.set("s", resource);
            else source.delete("s", names[name] ?? "");
          }
        });
        const standing = standings[move];
        if (standing) Object.assign(standing, { at: view.revision, seen: visible() });
      }
      for (const { at, seen } of standings) {
        expect(at).toBeGreaterThanOrEqual(view.floor);
        const then = visible();
        for (const [name, before] of view.changedSince(at)) {
          if (before) then.set(name, before.version);
          else then.delete(name);
        }
        expect(then).toEqual(seen);
      }
    }),
    { numRuns: runs(30) },
  );
});

import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import { codeOf } from "#base/errors.ts";
import type { ObjectKey, ResourceStore, Stored, StoreEvent } from "../port.ts";
import { collect } from "./reader.ts";
import { runs } from "#base/testing/runs.ts";

const selection = { partition: "mesh", resource: "things.example.com" };

/** One step of a random history. */
type Step =
  | { readonly kind: "put"; readonly name: string; readonly expect: "absent" | "any" | "current" | "stale" }
  | { readonly kind: "delete"; readonly name: string }
  | { readonly kind: "compact"; readonly back: number }
  | { readonly kind: "page"; readonly limit: number };

const name = fc.constantFrom("a", "b", "c", "d");
const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("put" as const),
      name,
      expect: fc.constantFrom("absent", "any", "current", "stale"),
    }),
  },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("delete" as const), name }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("compact" as const), back: fc.nat(5) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("page" as const), limit: fc.integer({ min: 1, max: 3 }) }) },
);

/** The state that a watch from the beginning must lead to. */
function replay(events: readonly StoreEvent[], base: number): Map<string, number> {
  const state = new Map<string, number>();
  for (const event of events) {
    if (event.kind === "put") state.set(event.stored.key.name, event.stored.revision - base);
    if (event.kind === "delete") state.delete(event.stored.key.name);
  }
  return state;
}

/** The plain map beside the store, and every state it had, by revision; revisions are counted from the store's first. */
class Model {
  readonly #store: ResourceStore;
  readonly #base: number;
  readonly states: Map<string, number>[] = [new Map()];
  compacted = 0;

  constructor(store: ResourceStore, base: number) {
    this.#store = store;
    this.#base = base;
  }

  get revision(): number {
    return this.states.length - 1;
  }

  get state(): Map<string, number> {
    return this.states.at(-1) ?? new Map();
  }

  async run(step: Step): Promise<void> {
    switch (step.kind) {
      case "put":
        return this.#put(step.name, step.expect);
      case "delete":
        return this.#delete(step.name);
      case "compact":
        this.compacted = Math.max(this.compacted, this.revision - step.back);
        return this.#store.compact(this.#base + this.revision - step.back);
      case "page":
        return this.#page(step.limit);
    }
  }

  async #put(name: string, expected: "absent" | "any" | "current" | "stale"): Promise<void> {
    const current = this.state.get(name);
    const key: ObjectKey = { ...selection, namespace: "n", name };
    const object = { apiVersion: "v1", kind: "Thing", metadata: { name } } as unknown as Stored["object"];
    const revision = expected === "stale" ? (current ?? 1) - 1 : (current ?? 1);
    const expectation =
      expected === "absent" || expected === "any"
        ? { kind: expected }
        : { kind: "revision" as const, revision: this.#base + revision };
    const outcome = await this.#store
      .put(key, object, expectation)
      .then(({ revision }) => revision - this.#base, codeOf);
    const refusals = {
      any: undefined,
      absent: current === undefined ? undefined : "AlreadyExists",
      current: current === undefined ? "NotFound" : undefined,
      stale: current === undefined ? "NotFound" : "Conflict",
    };
    equal(outcome, refusals[expected] ?? this.revision + 1);
    if (refusals[expected] === undefined) this.states.push(new Map(this.state).set(name, this.revision + 1));
  }

  async #delete(name: string): Promise<void> {
    const key: ObjectKey = { ...selection, namespace: "n", name };
    const outcome = await this.#store
      .delete(key, { kind: "any" })
      .then(({ revision }) => revision - this.#base, codeOf);
    if (!this.state.has(name)) return equal(outcome, "NotFound");
    equal(outcome, this.revision + 1);
    const next = new Map(this.state);
    next.delete(name);
    this.states.push(next);
  }

  async #page(limit: number): Promise<void> {
    const seen: [string, number][] = [];
    let next: string | undefined;
    do {
      const page = await this.#store.list(selection, { limit, ...(next === undefined ? {} : { next }) });
      ok(page.items.length <= limit);
      seen.push(...page.items.map(({ key, revision }): [string, number] => [key.name, revision - this.#base]));
      next = page.next;
    } while (next !== undefined);
    deepEqual(
      seen,
      [...this.state].toSorted(([a], [b]) => (a < b ? -1 : 1)),
    );
  }
}

/** Runs random histories against a store and a plain map; compares every answer, and in the end lists and watches of the past. */
export async function modelProperty(open: () => Promise<ResourceStore>): Promise<void> {
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 40 }), async (steps) => {
      await using store = await open();
      const base = await store.revision();
      const model = new Model(store, base);
      for (const one of steps) await model.run(one);
      for (let at = 0; at <= model.revision; at += 1) {
        const page = await store.list(selection, { at: base + at }).catch(codeOf);
        if (at < model.compacted) equal(page, "Gone");
        else {
          deepEqual(
            typeof page === "string" ? page : new Map(page.items.map((item) => [item.key.name, item.revision - base])),
            model.states[at],
          );
        }
      }
      const reader = collect(store, selection, base + model.compacted);
      const events = await reader.until(model.revision - model.compacted);
      const start = model.states[model.compacted] ?? new Map<string, number>();
      const end = new Map(start);
      for (const event of events) if (event.kind === "delete") end.delete(event.stored.key.name);
      for (const [name, revision] of replay(events, base)) end.set(name, revision);
      deepEqual(end, model.state);
      await reader.stop();
    }),
    { numRuns: runs(25) },
  );
}

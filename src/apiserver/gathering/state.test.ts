import { expect, test } from "vitest";
import { type GatheredObject, type GatheredRow, GatheredState } from "./state.ts";

type Status = Readonly<Record<string, unknown>>;

function row(name: string, status: Status = {}, labels: Readonly<Record<string, string>> = {}): GatheredRow {
  return { cells: [name], object: { metadata: { name, namespace: "shop", labels }, status } };
}

const steady = ({ metadata, status: { usage: _usage, ...status } = {} }: GatheredObject): object => ({
  metadata,
  status,
});
const all = (): boolean => true;

function told(state: GatheredState, after: number, matches: (object: GatheredObject) => boolean = all): string {
  return state
    .since(after, matches)
    .map(({ type, row: { object } }) => `${type} ${object.metadata.name}`)
    .join(", ");
}

test("what is new, what is another and what is gone are changes since a version, each once", () => {
  const state = new GatheredState(100, steady);
  state.apply([row("a"), row("b")], true, 0);
  const before = state.version;
  expect(told(state, 100)).toBe("ADDED a, ADDED b");
  expect(told(state, before)).toBe("");
  state.apply([row("a", { phase: "Draining" }), row("c")], true, 1);
  expect(told(state, before)).toBe("MODIFIED a, ADDED c, DELETED b");
  // Who has never seen b is not told that it is gone.
  expect(told(state, 100)).toBe("ADDED a, ADDED c");
  expect(told(state, state.version)).toBe("");
});

test("figures alone are a change once a minute", () => {
  const state = new GatheredState(1, steady);
  state.apply([row("a", { usage: 1 })], true, 0);
  const before = state.version;
  state.apply([row("a", { usage: 2 })], true, 10_000);
  expect(told(state, before)).toBe("");
  state.apply([row("a", { usage: 3 })], true, 60_000);
  expect(state.since(before, all)).toMatchObject([{ type: "MODIFIED", row: { object: { status: { usage: 3 } } } }]);
});

test("what lacks while not all were heard is still there", () => {
  const state = new GatheredState(1, steady);
  state.apply([row("a"), row("b")], true, 0);
  const before = state.version;
  state.apply([row("a")], false, 1);
  expect(told(state, before)).toBe("");
  state.apply([row("a")], true, 2);
  expect(told(state, before)).toBe("DELETED b");
});

test("what a selector meant before and does not mean now is gone for it", () => {
  const state = new GatheredState(1, steady);
  const ofApp = ({ metadata }: GatheredObject): boolean => metadata.labels?.["app"] === "page";
  state.apply([row("a", {}, { app: "page" }), row("b")], true, 0);
  const before = state.version;
  state.apply([row("a", {}, { app: "cart" }), row("b", {}, { app: "page" })], true, 1);
  expect(told(state, before, ofApp)).toBe("DELETED a, ADDED b");
});

test("a version from before what is remembered, or from elsewhere, is not known", () => {
  const state = new GatheredState(1, steady);
  state.apply(
    Array.from({ length: 10_001 }, (_, at) => row(`p-${at}`)),
    true,
    0,
  );
  const before = state.version;
  expect([state.knows(0), state.knows(before), state.knows(before + 1)]).toEqual([false, true, false]);
  state.apply([], true, 1);
  expect([state.knows(before), state.knows(before + 1)]).toEqual([false, true]);
  state.clear();
  expect([state.knows(state.version - 1), state.knows(state.version)]).toEqual([false, true]);
});

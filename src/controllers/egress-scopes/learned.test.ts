import { expect, test } from "vitest";
import { remembered } from "./learned.ts";

const day = 86_400_000;
const now = Date.parse("2026-11-23T00:00:00Z");
const at = (daysAgo: number): string => new Date(now - daysAgo * day).toISOString().replace(".000", "");
const entry = (host: string, first: number, last: number) => ({ host, firstUsed: at(first), lastUsed: at(last) });
const memory = { now, lifeMs: 30 * day, most: 5, mayForget: () => true };
const none: ReadonlySet<string> = new Set();

test("hosts that are called are learned once, and their last call is told to the day", () => {
  const called = new Map([
    ["a", now],
    ["b", now],
    ["c", now],
  ]);
  expect(remembered([entry("a", 9, 0.5), entry("b", 9, 2)], called, none, memory)).toEqual([
    entry("a", 9, 0.5),
    entry("b", 9, 0),
    entry("c", 0, 0),
  ]);
});

test("a host that is not called for its life is forgotten, unless somebody may call it unseen", () => {
  const before = [entry("old", 90, 30), entry("older", 90, 31), entry("young", 90, 29)];
  const hosts = (more: Partial<typeof memory>): readonly string[] =>
    remembered(before, new Map(), none, { ...memory, ...more }).map(({ host }) => host);
  expect(hosts({})).toEqual(["young"]);
  expect(hosts({ mayForget: () => false })).toEqual(["old", "older", "young"]);
  expect(hosts({ lifeMs: 0 })).toEqual(["old", "older", "young"]);
  expect(remembered(before, new Map([["old", now]]), none, memory).map(({ host }) => host)).toEqual(["old", "young"]);
});

test("declared hosts are not learned, and count among the most that there may be", () => {
  const called = new Map(["a", "b", "c", "d", "e"].map((host) => [host, now]));
  const learned = remembered([entry("x", 1, 1)], called, new Set(["x", "b"]), memory);
  expect(learned.map(({ host }) => host)).toEqual(["a", "c", "d"]);
});

import { expect, test } from "vitest";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { Backlog } from "./backlog.ts";

test("many who wait are a long backlog, until they are served or take too long; a few are none", () => {
  const clock = new ManualClock();
  const backlog = new Backlog<number>(clock);
  for (const member of [1, 2]) backlog.owes(member, true);
  expect(backlog.isLong(40)).toBe(false);
  expect(backlog.isLong(39)).toBe(true);
  backlog.owes(3, true);
  expect(backlog.isLong(40)).toBe(true);
  backlog.owes(3, false);
  expect(backlog.isLong(40)).toBe(false);
  clock.advance(2900);
  for (const member of [2, 4]) backlog.owes(member, true);
  expect(backlog.isLong(40)).toBe(true);
  // The first two are slow by now; that one of them is owed more does not make it quick.
  clock.advance(200);
  expect(backlog.isLong(40)).toBe(false);
  expect(backlog.isLong(19)).toBe(true);
});

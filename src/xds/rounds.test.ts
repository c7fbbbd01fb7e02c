import { expect, test } from "vitest";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { Rounds } from "./rounds.ts";

test("many who wait are a long backlog, until they are served or take too long; a few are none", () => {
  const clock = new ManualClock();
  const rounds = new Rounds<number>({ clock, pressed: () => true, turn: () => undefined });
  for (const member of [1, 2]) rounds.owes(member, true);
  expect(rounds.isLong(40)).toBe(false);
  expect(rounds.isLong(39)).toBe(true);
  rounds.owes(3, true);
  expect(rounds.isLong(40)).toBe(true);
  rounds.owes(3, false);
  expect(rounds.isLong(40)).toBe(false);
  clock.advance(2900);
  for (const member of [2, 4]) rounds.owes(member, true);
  expect(rounds.isLong(40)).toBe(true);
  // The first two are slow by now; that one of them is owed more does not make it quick.
  clock.advance(200);
  expect(rounds.isLong(40)).toBe(false);
  expect(rounds.isLong(19)).toBe(true);
});

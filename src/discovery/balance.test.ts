import { describe, expect, test } from "vitest";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { Balance } from "./balance.ts";

/** Replicas with so many proxies each, of which those that are let go choose one by turns. */
function settle(counts: number[], looks: number, stay = false): { readonly moved: number; readonly counts: number[] } {
  const clock = new ManualClock();
  const replicas = counts.map(() => new Balance(clock));
  let [moved, turn] = [0, 0];
  for (let look = 0; look < looks; look += 1) {
    clock.advance(3_000);
    for (const [index, replica] of replicas.entries()) {
      const leaving = replica.excess(counts[index]!, counts.toSpliced(index, 1));
      moved += leaving;
      for (let each = 0; each < (stay ? 0 : leaving); each += 1) {
        counts[index]! -= 1;
        counts[turn % counts.length]! += 1;
        turn += 1;
      }
    }
  }
  return { moved, counts };
}

describe("proxies of several replicas", () => {
  test("stay where they are while nobody has many more than others", () => {
    expect(settle([50, 47], 100).moved).toBe(0);
    expect(settle([1, 0], 100).moved).toBe(0);
    expect(settle([100], 100).moved).toBe(0);
  });

  test("are evened out when there are few", () => {
    expect(settle([5, 0], 20).counts).toEqual([3, 2]);
    expect(settle([4, 1], 20).counts).toEqual([3, 2]);
    expect(settle([2, 0], 20).counts).toEqual([1, 1]);
    expect(settle([2, 1, 1], 100).moved).toBe(0);
    expect(settle([3, 2], 100).moved).toBe(0);
  });

  test("are asked again soon where one came back by chance", () => {
    // Nobody goes to the other at seven moves: a minute.
    expect(settle([5, 0], 20, true).moved).toBeGreaterThan(7);
  });

  test("are evened out after a replica has come, each look a few", () => {
    const { counts } = settle([300, 300, 0], 300);
    expect(counts.reduce((sum, each) => sum + each, 0)).toBe(600);
    expect(Math.max(...counts)).toBeLessThanOrEqual(220);
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(160);
    expect(settle([300, 0], 3).moved).toBeLessThanOrEqual(15);
  });

  test("are not asked over and over when they come back to the same", () => {
    // A day of looks.
    expect(settle([100, 0], 28_800, true).moved).toBeLessThan(1_000);
  });
});

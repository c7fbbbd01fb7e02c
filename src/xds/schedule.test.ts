import { describe, expect, test } from "vitest";
import { TurnQueue } from "./schedule.ts";

describe("turns", () => {
  test("each member has one, in order; other work comes in between", async () => {
    let now = 0;
    const turns: number[] = [];
    const queue = new TurnQueue(
      (member: number) => {
        turns.push(member);
        now += 5;
      },
      () => now,
    );
    for (const member of [1, 2, 3, 2, 4]) queue.add(member);
    queue.remove(3);
    const seen: number[] = [];
    for (let round = 0; round < 3; round += 1) {
      await new Promise((resolve) => {
        setImmediate(resolve);
      });
      seen.push(turns.length);
    }
    expect(turns).toEqual([1, 2, 4]);
    expect(seen[0]).toBe(2);
  });
});

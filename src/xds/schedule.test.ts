import { describe, expect, test } from "vitest";
import { BatchSchedule, TurnQueue } from "./schedule.ts";
import { ManualClock } from "./testing/manual-clock.ts";

describe("batches", () => {
  const setUp = () => {
    const clock = new ManualClock();
    const started = clock.now();
    const flushes: number[] = [];
    const schedule = new BatchSchedule({ quietMs: 20, longestMs: 200 }, clock, () =>
      flushes.push(clock.now() - started),
    );
    return { clock, flushes, schedule };
  };

  test("the first change goes at once, one soon after it when it is quiet again", () => {
    const { clock, flushes, schedule } = setUp();
    schedule.changed();
    expect(flushes).toEqual([0]);
    clock.advance(5);
    schedule.changed();
    clock.advance(10);
    schedule.changed();
    clock.advance(100);
    expect(flushes).toEqual([0, 35]);
    schedule.changed();
    expect(flushes).toEqual([0, 35, 115]);
  });

  test("a storm goes in batches that wait no longer than the longest", () => {
    const { clock, flushes, schedule } = setUp();
    for (let at = 0; at < 1000; at += 10) {
      schedule.changed();
      clock.advance(10);
    }
    clock.advance(1000);
    expect(flushes).toEqual([0, 210, 410, 610, 810, 1010]);
  });

  test("nothing goes out once disposed", () => {
    const { clock, flushes, schedule } = setUp();
    schedule.changed();
    schedule.changed();
    schedule[Symbol.dispose]();
    clock.advance(1000);
    expect(flushes).toEqual([0]);
  });
});

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

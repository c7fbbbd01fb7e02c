import { describe, expect, test } from "vitest";
import { BatchSchedule } from "./batch.ts";
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

import { expect, test } from "vitest";
import { silentLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { Engine } from "#incremental/engine.ts";
import { Intake } from "./intake.ts";

/** An intake of numbers, what a reader of the model sees of them, and when they had entered. */
function setUp(busy?: () => boolean) {
  const engine = new Engine();
  const rows = engine.table<number>("rows");
  const all = engine.stringQuery("all", () => rows.rows());
  const seen: (readonly number[])[] = [];
  engine.observe(all, "", () => seen.push(all.get("")));
  const clock = new ManualClock();
  const batch = { quietMs: 20, longestMs: 200, busyMs: 500 };
  const intake = new Intake({ engine, clock, logger: silentLogger, batch, ...(busy && { busy }) });
  const entered: number[] = [];
  const add = (value: number): void =>
    intake.add({
      enter: () => {
        if (value < 0) throw new Error("a fault");
        rows.set(String(value), value);
      },
      entered: () => {
        expect(value < 0 || all.get("").includes(value)).toBe(true);
        entered.push(value);
      },
    });
  return { clock, add, seen, entered, intake };
}

test("what comes after quiet enters at once, a storm in batches that are one change each", () => {
  const { clock, add, seen, entered } = setUp();
  add(1);
  expect(seen).toEqual([[1]]);
  expect(entered).toEqual([1]);
  for (let value = 2; value < 42; value += 1) {
    clock.advance(10);
    add(value);
  }
  clock.advance(1000);
  expect(entered).toEqual(Array.from({ length: 41 }, (_, index) => index + 1));
  // 400 ms of changes every 10 ms: two batches of 200 ms, and the first change.
  expect(seen.length).toBe(3);
});

test("while proxies are told of a batch the next one waits, but not for ever", () => {
  let busy = false;
  const { clock, add, seen } = setUp(() => busy);
  add(1);
  busy = true;
  clock.advance(100);
  add(2);
  clock.advance(300);
  expect(seen.length).toBe(1);
  busy = false;
  clock.advance(10);
  expect(seen.length).toBe(2);
  busy = true;
  add(3);
  clock.advance(490);
  expect(seen.length).toBe(2);
  clock.advance(20);
  expect(seen.length).toBe(3);
});

test("what fails keeps nothing else out", () => {
  const { clock, add, seen, entered } = setUp();
  add(1);
  for (const value of [2, -1, 3]) add(value);
  clock.advance(100);
  expect(seen.at(-1)?.toSorted()).toEqual([1, 2, 3]);
  expect(entered).toEqual([1, 2, -1, 3]);
});

test("nothing enters once disposed", () => {
  const { clock, add, seen, intake } = setUp();
  add(1);
  add(2);
  intake[Symbol.dispose]();
  clock.advance(1000);
  expect(seen).toEqual([[1]]);
});

import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { jsonLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { synced } from "./synced.ts";

function waiting(states: readonly Promise<void>[], limitMs?: number) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const logger = jsonLogger({ level: "debug", now: () => 0, write: (line) => void lines.push(line) });
  const stop = new AbortController();
  return { clock, lines, stop, waited: synced(states, limitMs, { clock, logger }, stop.signal) };
}

test("nothing is logged when all has been read in time, not even later", async () => {
  const { clock, lines, waited } = waiting([Promise.resolve(), Promise.resolve()], 30_000);
  await waited;
  clock.advance(60_000);
  await setImmediate();
  expect(lines).toEqual([]);
});

test("what is not read within the limit is not waited for, which is logged", async () => {
  const { clock, lines, waited } = waiting([Promise.resolve(), new Promise<void>(() => undefined)], 30_000);
  clock.advance(30_000);
  await waited;
  expect(lines).toEqual([expect.stringMatching(/not everything has been read yet.*"afterMs":30000/)]);
});

test("without a limit it takes as long as it takes", async () => {
  const read = Promise.withResolvers<void>();
  const { clock, lines, waited } = waiting([read.promise], undefined);
  let done = false;
  const ended = waited.then(() => (done = true));
  clock.advance(3_600_000);
  await setImmediate();
  expect(done).toBe(false);
  read.resolve();
  await ended;
  expect(lines).toEqual([]);
});

test.each([30_000, undefined])("a stop ends the wait with the limit %s", async (limitMs) => {
  const { lines, stop, waited } = waiting([new Promise<void>(() => undefined)], limitMs);
  stop.abort(new Error("stopped"));
  await expect(waited).rejects.toThrow("stopped");
  expect(lines).toEqual([]);
});

test("a state that cannot be read is told", async () => {
  const { waited } = waiting([Promise.reject(new Error("no such mesh"))], 30_000);
  await expect(waited).rejects.toThrow("no such mesh");
});

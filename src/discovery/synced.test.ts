import { setImmediate } from "node:timers/promises";
import { expect, test } from "vitest";
import { jsonLogger } from "#base/logger.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { synced } from "./synced.ts";

function waiting(states: readonly Promise<void>[]) {
  const clock = new ManualClock();
  const lines: string[] = [];
  const logger = jsonLogger({ level: "debug", now: () => 0, write: (line) => void lines.push(line) });
  const stop = new AbortController();
  return { clock, lines, stop, waited: synced(states, 30_000, { clock, logger }, stop.signal) };
}

test("nothing is logged when all has been read in time, not even later", async () => {
  const { clock, lines, waited } = waiting([Promise.resolve(), Promise.resolve()]);
  await waited;
  clock.advance(60_000);
  await setImmediate();
  expect(lines).toEqual([]);
});

test("what is not read within the limit is not waited for, which is logged", async () => {
  const { clock, lines, waited } = waiting([Promise.resolve(), new Promise<void>(() => undefined)]);
  clock.advance(30_000);
  await waited;
  expect(lines).toEqual([expect.stringMatching(/not everything has been read yet.*"afterMs":30000/)]);
});

test("a stop ends the wait", async () => {
  const { lines, stop, waited } = waiting([new Promise<void>(() => undefined)]);
  stop.abort(new Error("stopped"));
  await expect(waited).rejects.toThrow("stopped");
  expect(lines).toEqual([]);
});

test("a state that cannot be read is told", async () => {
  const { waited } = waiting([Promise.reject(new Error("no such mesh"))]);
  await expect(waited).rejects.toThrow("no such mesh");
});

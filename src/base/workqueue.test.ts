import fc from "fast-check";
import { expect, test, vi } from "vitest";
import { systemClock } from "./clock.ts";
import { WorkQueue } from "./workqueue.ts";
import type { WorkQueueOptions } from "./workqueue.ts";
import { runs } from "./testing/runs.ts";

function start(options: Partial<WorkQueueOptions> & Pick<WorkQueueOptions, "work">): {
  queue: WorkQueue;
  stop: AbortController;
  done: Promise<void>;
} {
  const queue = new WorkQueue({ clock: systemClock, failed: () => undefined, ...options });
  const stop = new AbortController();
  return { queue, stop, done: queue.run(stop.signal) };
}

test("a key added many times is worked on once, and once more when added meanwhile", async () => {
  const worked: string[] = [];
  const gate = Promise.withResolvers<void>();
  const { queue, stop, done } = start({
    work: async (key) => {
      worked.push(key);
      await gate.promise;
    },
  });
  for (const key of ["a", "a", "b", "a"]) queue.add(key);
  queue.add("a");
  gate.resolve();
  await vi.waitFor(() => expect(worked).toEqual(["a", "b", "a"]), 60_000);
  await systemClock.sleep(10);
  expect(worked).toHaveLength(3);
  stop.abort();
  await done;
});

test("what is added before the start waits for it", async () => {
  const worked: string[] = [];
  const queue = new WorkQueue({
    clock: systemClock,
    failed: () => undefined,
    work: async (key) => void worked.push(key),
  });
  queue.add("a");
  queue.add("a");
  expect(worked).toEqual([]);
  const stop = new AbortController();
  const done = queue.run(stop.signal);
  await vi.waitFor(() => expect(worked).toEqual(["a"]), 60_000);
  stop.abort();
  await done;
});

test("a failing key waits longer each time, others go on, and a success makes the waits short again", async () => {
  const times: number[] = [];
  const failures: string[] = [];
  let broken = true;
  const others: string[] = [];
  const { queue, stop, done } = start({
    backoff: { initialMs: 200, maxMs: 10_000, random: () => 1 },
    failed: (key, error) => failures.push(`${key}: ${String(error)}`),
    work: async (key) => {
      if (key === "good") {
        others.push(key);
        return;
      }
      times.push(systemClock.monotonic());
      if (broken) throw new Error("no");
    },
  });
  queue.add("bad");
  await vi.waitFor(() => expect(times).toHaveLength(4), 60_000);
  queue.add("good");
  await vi.waitFor(() => expect(others).toEqual(["good"]), 60_000);
  const waits = times.slice(1).map((at, index) => at - (times[index] ?? 0));
  expect(waits[0]).toBeGreaterThanOrEqual(199);
  expect(waits[1]).toBeGreaterThanOrEqual(399);
  expect(waits[2]).toBeGreaterThanOrEqual(799);
  broken = false;
  await vi.waitFor(() => expect(times).toHaveLength(5), 60_000);
  broken = true;
  queue.add("bad");
  await vi.waitFor(() => expect(times.length).toBeGreaterThanOrEqual(7), 60_000);
  // The waits begin anew: without that, this one would be of 1.6 s and more.
  expect((times[6] ?? 0) - (times[5] ?? 0)).toBeLessThan(1599);
  expect(failures[0]).toBe("bad: Error: no");
  stop.abort();
  await done;
});

test("a returned number asks for another turn, and an earlier wish wins", async () => {
  const times: number[] = [];
  const { queue, stop, done } = start({
    work: async () => {
      times.push(systemClock.monotonic());
      return times.length === 1 ? 20 : undefined;
    },
  });
  queue.add("a");
  await vi.waitFor(() => expect(times).toHaveLength(2), 60_000);
  expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(19);
  queue.addAfter("a", 10_000);
  queue.addAfter("a", 5);
  queue.addAfter("a", 10_000);
  await vi.waitFor(() => expect(times).toHaveLength(3), 60_000);
  stop.abort();
  await done;
});

test("stopping waits for what is being worked on and starts nothing more", async () => {
  const worked: string[] = [];
  const { queue, stop, done } = start({
    concurrency: 1,
    work: async (key, signal) => {
      worked.push(`${key} starts`);
      await systemClock.sleep(1000, signal).catch(() => undefined);
      await systemClock.sleep(10);
      worked.push(`${key} ends`);
    },
  });
  queue.add("a");
  queue.add("b");
  queue.addAfter("c", 1);
  await vi.waitFor(() => expect(worked).toHaveLength(1), 60_000);
  stop.abort();
  await done;
  expect(worked).toEqual(["a starts", "a ends"]);
});

test("for any arrivals: bounded at once, never one key twice, and each arrival is followed by a turn that began after it", async () => {
  const arrivals = fc.array(fc.tuple(fc.constantFrom("a", "b", "c", "d"), fc.nat(3)), { maxLength: 60 });
  await fc.assert(
    fc.asyncProperty(arrivals, fc.integer({ min: 1, max: 3 }), async (arrivals, concurrency) => {
      const running = new Set<string>();
      const pending = new Set<string>();
      let fails = 0;
      const { queue, stop, done } = start({
        concurrency,
        backoff: { initialMs: 1, maxMs: 2 },
        work: async (key) => {
          expect(running.has(key)).toBe(false);
          pending.delete(key);
          running.add(key);
          expect(running.size).toBeLessThanOrEqual(concurrency);
          await systemClock.sleep(1);
          running.delete(key);
          fails += 1;
          if (fails % 4 === 0) {
            pending.add(key);
            throw new Error("now and then");
          }
        },
      });
      for (const [key, ms] of arrivals) {
        pending.add(key);
        queue.add(key);
        if (ms === 3) await systemClock.sleep(1);
      }
      await vi.waitFor(() => expect(pending.size + running.size).toBe(0), { timeout: 60_000, interval: 1 });
      stop.abort();
      await done;
    }),
    { numRuns: runs(30) },
  );
});

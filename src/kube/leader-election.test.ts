import { expect, test } from "vitest";
import type { Lease } from "#api/kubernetes/lease.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { leadElected, type LeaseLock, type LeaseSpec } from "./leader-election.ts";

/** A Lease in memory, which can be out of reach. */
class Memory {
  lease: Lease | undefined;
  #version = 0;

  lock(reachable: () => boolean = () => true): LeaseLock {
    const check = (): void => {
      if (!reachable()) throw new WeftError("Unavailable", "out of reach");
    };
    return {
      name: "lease",
      read: async () => {
        check();
        return this.lease;
      },
      write: async (spec: LeaseSpec, before) => {
        check();
        if (before?.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) {
          throw new WeftError("Conflict", "it is another one");
        }
        this.#version += 1;
        const metadata = { name: "lease", resourceVersion: String(this.#version) } as Lease["metadata"];
        this.lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec };
        return this.lease;
      },
    };
  }
}

/** Who works now, and who ever did. */
class Floor {
  readonly working = new Set<string>();
  readonly turns: string[] = [];
  most = 0;
  #changed = Promise.withResolvers<void>();

  work(name: string): (signal: AbortSignal) => Promise<void> {
    return async (signal) => {
      this.working.add(name);
      this.turns.push(name);
      this.most = Math.max(this.most, this.working.size);
      this.#tell();
      if (!signal.aborted) await new Promise((resolve) => signal.addEventListener("abort", resolve, { once: true }));
      this.working.delete(name);
      this.#tell();
    };
  }

  async until(condition: () => boolean): Promise<void> {
    while (!condition()) await this.#changed.promise;
  }

  #tell(): void {
    this.#changed.resolve();
    this.#changed = Promise.withResolvers();
  }
}

const times = { durationMs: 1000, renewMs: 300, retryMs: 30 };

function options(lock: LeaseLock, identity: string): Parameters<typeof leadElected>[0] {
  return { lock, identity, clock: systemClock, logger: silentLogger, ...times };
}

test("one works at a time; another at once when that one ends, and after a while when it is cut off", async () => {
  const [memory, floor] = [new Memory(), new Floor()];
  const names = ["a", "b", "c"];
  const cut = new Set<string>();
  const stops = new Map(names.map((name) => [name, new AbortController()]));
  const runs = names.map((name) =>
    leadElected(
      options(
        memory.lock(() => !cut.has(name)),
        name,
      ),
      floor.work(name),
      stops.get(name)!.signal,
    ),
  );
  await floor.until(() => floor.working.size === 1);
  const [first = ""] = floor.turns;
  expect(memory.lease?.spec).toMatchObject({ holderIdentity: first, leaseDurationSeconds: 1, leaseTransitions: 0 });
  expect(memory.lease?.spec.renewTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z$/);
  stops.get(first)!.abort();
  await floor.until(() => floor.turns.length === 2);
  const second = floor.turns[1] ?? "";
  expect(second).not.toBe(first);
  cut.add(second);
  await floor.until(() => floor.turns.length === 3);
  expect(floor.turns[2]).not.toBe(second);
  cut.clear();
  expect(memory.lease?.spec.leaseTransitions).toBe(2);
  for (const stop of stops.values()) stop.abort();
  await Promise.all(runs);
  expect(floor.most).toBe(1);
  expect(memory.lease?.spec).toMatchObject({ holderIdentity: "" });
});

test("a Lease that another holds and renews is left alone, whatever its clock says", async () => {
  const [memory, floor] = [new Memory(), new Floor()];
  const other = memory.lock();
  const none = new AbortController().signal;
  const spec = { holderIdentity: "other", leaseDurationSeconds: 1, renewTime: "2001-01-01T00:00:00.000000Z" };
  await other.write(spec, undefined, none);
  const stop = new AbortController();
  const run = leadElected(options(memory.lock(), "a"), floor.work("a"), stop.signal);
  for (let turn = 0; turn < 20; turn += 1) {
    await systemClock.sleep(100);
    await other.write(spec, memory.lease, none);
  }
  expect(floor.turns).toEqual([]);
  await floor.until(() => floor.turns.length === 1);
  stop.abort();
  await run;
});

test("work that fails is told, and the Lease is given back", async () => {
  const memory = new Memory();
  const fails = leadElected(
    options(memory.lock(), "a"),
    () => Promise.reject(new Error("broken")),
    new AbortController().signal,
  );
  await expect(fails).rejects.toThrow("broken");
  expect(memory.lease?.spec.holderIdentity).toBe("");
});

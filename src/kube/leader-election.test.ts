import { describe, expect, test } from "vitest";
import type { Lease } from "#api/kubernetes/lease.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { leadElected, type LeaseContent, type LeaseLock } from "./leader-election.ts";

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
      write: async ({ spec, annotations }: LeaseContent, before) => {
        check();
        if (before?.metadata.resourceVersion !== this.lease?.metadata.resourceVersion) {
          throw new WeftError("Conflict", "it is another one");
        }
        this.#version += 1;
        const metadata = { name: "lease", annotations, resourceVersion: String(this.#version) } as Lease["metadata"];
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

const times = { durationMs: 3000, renewMs: 900, retryMs: 30 };

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
  expect(memory.lease?.spec).toMatchObject({ holderIdentity: first, leaseDurationSeconds: 3, leaseTransitions: 0 });
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
  const spec = { holderIdentity: "other", leaseDurationSeconds: 3, renewTime: "2001-01-01T00:00:00.000000Z" };
  await other.write({ spec, annotations: {} }, undefined, none);
  const stop = new AbortController();
  const run = leadElected(options(memory.lock(), "a"), floor.work("a"), stop.signal);
  for (let turn = 0; turn < 40; turn += 1) {
    await systemClock.sleep(100);
    await other.write({ spec, annotations: {} }, memory.lease, none);
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

describe("a holder whose process has ended", () => {
  const processAnnotation = "mesh.weft.dev/holder-process";
  const none = new AbortController().signal;
  /** A candidate that would wait a minute for others, and knows which processes have ended. */
  const patient = (
    memory: Memory,
    identity: string,
    ended: ReadonlySet<string>,
  ): Parameters<typeof leadElected>[0] => ({
    ...options(memory.lock(), identity),
    durationMs: 60_000,
    process: { mark: `process-of-${identity}`, hasEnded: (mark) => ended.has(mark) },
  });
  /** What holders write who end without a word. */
  const held = (identity: string, renewTime: string, mark?: string): LeaseContent => ({
    spec: { holderIdentity: identity, leaseDurationSeconds: 60, renewTime },
    annotations: mark === undefined ? { other: "kept" } : { other: "kept", [processAnnotation]: mark },
  });
  const [early, late] = ["2001-01-01T00:00:00.000000Z", "2001-01-01T00:00:02.000000Z"] as const;

  test("is not waited for", async () => {
    const [memory, floor, stop] = [new Memory(), new Floor(), new AbortController()];
    await memory.lock().write(held("a", early, `process-of-a ${early}`), undefined, none);
    const ended = new Set<string>();
    const run = leadElected(patient(memory, "b", ended), floor.work("b"), stop.signal);
    await systemClock.sleep(500);
    expect(floor.turns).toEqual([]);
    ended.add("process-of-a");
    await floor.until(() => floor.turns.length === 1);
    const { metadata, spec } = memory.lease!;
    expect(spec).toMatchObject({ holderIdentity: "b", leaseTransitions: 1 });
    expect(metadata.annotations).toEqual({ other: "kept", [processAnnotation]: `process-of-b ${spec.renewTime}` });
    stop.abort();
    await run;
    expect(memory.lease?.metadata.annotations).toEqual({ other: "kept" });
  });

  test.each([
    ["told no process", held("a", late)],
    ["told none, after one of its name that did", held("a", late, `process-of-a ${early}`)],
    ["is another, which kept what the one before told", held("c", late, `process-of-a ${early}`)],
  ])("is waited for where the holder %s", async (_, content) => {
    const [memory, floor, stop] = [new Memory(), new Floor(), new AbortController()];
    await memory.lock().write(content, undefined, none);
    const run = leadElected(patient(memory, "b", new Set(["process-of-a"])), floor.work("b"), stop.signal);
    await systemClock.sleep(500);
    expect(floor.turns).toEqual([]);
    stop.abort();
    await run;
  });

  test("has one who follows, of all that see it at once, and so has that one", async () => {
    const [memory, floor, ended] = [new Memory(), new Floor(), new Set<string>()];
    const names = ["b", "c", "d", "e"];
    const stops = new Map(names.map((name) => [name, new AbortController()]));
    await memory.lock().write(held("a", early, `process-of-a ${early}`), undefined, none);
    ended.add("process-of-a");
    const runs = names.map((name) =>
      leadElected(patient(memory, name, ended), floor.work(name), stops.get(name)!.signal),
    );
    for (let turn = 1; turn < names.length; turn += 1) {
      await floor.until(() => floor.turns.length === turn);
      await systemClock.sleep(200);
      expect(floor.turns).toHaveLength(turn);
      stops.get(floor.turns.at(-1)!)!.abort();
    }
    for (const stop of stops.values()) stop.abort();
    await Promise.all(runs);
    expect(floor.most).toBe(1);
  });
});

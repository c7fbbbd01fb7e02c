import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Deployment } from "#api/kubernetes/deployment.ts";
import { maxReplicas, recreateStep, rollingStep, scaleStep, tolerance } from "./rollout.ts";
import type { Resize } from "./rollout.ts";
import { annotation } from "./revision.ts";
import { deploymentOf, setOf } from "./testing/objects.ts";
import { runs } from "#base/testing/runs.ts";

function rolling(replicas: number, maxSurge: number | string, maxUnavailable: number | string): Deployment {
  return deploymentOf("web", {
    replicas,
    strategy: { type: "RollingUpdate", rollingUpdate: { maxSurge, maxUnavailable } },
  });
}

const short = (resizes: readonly Resize[]): readonly string[] =>
  resizes.map(({ set, replicas }) => `${set.metadata.name} ${set.spec.replicas}>${replicas}`);

describe("tolerance", () => {
  test.each([
    [10, "25%", "25%", { surge: 3, unavailable: 2 }],
    [1, "25%", "25%", { surge: 1, unavailable: 0 }],
    [4, 0, 0, { surge: 0, unavailable: 1 }],
    [4, "1%", "1%", { surge: 1, unavailable: 0 }],
    [2, 1, 5, { surge: 1, unavailable: 2 }],
    [0, 0, 0, { surge: 0, unavailable: 0 }],
  ])("of %i replicas with surge %s and unavailable %s", (replicas, surge, unavailable, expected) => {
    expect(tolerance(rolling(replicas, surge, unavailable))).toEqual(expected);
  });

  test("a strategy without overlap has none", () => {
    expect(tolerance(deploymentOf("web", { strategy: { type: "Recreate" } }))).toEqual({ surge: 0, unavailable: 0 });
  });
});

describe("a rolling step", () => {
  test("first grows the current set by what the surge leaves", () => {
    const step = rollingStep(rolling(4, 2, 1), { current: setOf("new", 0), old: [setOf("old", 4)] });
    expect(short(step)).toEqual(["new 0>2"]);
  });

  test("then shrinks old sets by what is available beyond the least, their broken Pods first", () => {
    const sets = { current: setOf("new", 2), old: [setOf("older", 2, 0), setOf("old", 2, 2)] };
    expect(short(rollingStep(rolling(4, 2, 0), sets))).toEqual(["older 2>0"]);
    expect(
      short(
        rollingStep(rolling(4, 2, 0), {
          ...sets,
          current: setOf("new", 4, 2),
          old: [setOf("older", 0), setOf("old", 2)],
        }),
      ),
    ).toEqual([]);
    expect(
      short(rollingStep(rolling(4, 2, 0), { ...sets, current: setOf("new", 4, 3), old: [setOf("old", 2)] })),
    ).toEqual(["old 2>1"]);
  });

  test("waits while new Pods are not available", () => {
    expect(rollingStep(rolling(4, 1, 0), { current: setOf("new", 1, 0), old: [setOf("old", 4)] })).toEqual([]);
  });

  test("shrinks a current set that is too large", () => {
    expect(short(rollingStep(rolling(2, 1, 0), { current: setOf("new", 5), old: [] }))).toEqual(["new 5>2"]);
  });
});

describe("a step without overlap", () => {
  const deployment = deploymentOf("web", { replicas: 3, strategy: { type: "Recreate" } });
  test("ends old sets, waits for their Pods, then begins", () => {
    expect(short(recreateStep(deployment, { current: setOf("new", 0), old: [setOf("old", 3)] }, 3))).toEqual([
      "old 3>0",
    ]);
    expect(short(recreateStep(deployment, { current: setOf("new", 0), old: [setOf("old", 0)] }, 1))).toEqual([]);
    expect(short(recreateStep(deployment, { current: setOf("new", 0), old: [setOf("old", 0)] }, 0))).toEqual([
      "new 0>3",
    ]);
  });
});

/** A set of a Deployment that wanted 10 replicas, all of them available. */
const sized = (name: string, replicas: number, max: number): ReturnType<typeof setOf> =>
  setOf(name, replicas, replicas, { [annotation.desiredReplicas]: "10", [annotation.maxReplicas]: String(max) });

describe("scaling", () => {
  test("a single active set takes all", () => {
    expect(short(scaleStep(rolling(7, 1, 1), { current: setOf("new", 3), old: [setOf("old", 0)] }))).toEqual([
      "new 3>7",
    ]);
    expect(short(scaleStep(rolling(7, 1, 1), { current: undefined, old: [setOf("a", 0), setOf("b", 0)] }))).toEqual([
      "b 0>7",
    ]);
  });

  test("in the middle of a rollout sets keep their proportions", () => {
    // Kubernetes' documentation has this example: 10 replicas of surge 3, scaled to 15 while 5 new Pods do not come up.
    const sets = { current: sized("new", 5, 13), old: [sized("old", 8, 13)] };
    expect(short(scaleStep(rolling(15, 3, 2), sets)).toSorted()).toEqual(["new 5>7", "old 8>11"]);
  });

  test("to nothing", () => {
    const sets = { current: sized("new", 5, 13), old: [sized("old", 8, 13)] };
    expect(short(scaleStep(rolling(0, 3, 2), sets)).toSorted()).toEqual(["new 5>0", "old 8>0"]);
  });

  test("a current set that is complete lets the old ones go", () => {
    expect(short(scaleStep(rolling(2, 1, 1), { current: setOf("new", 2), old: [setOf("old", 1)] }))).toEqual([
      "old 1>0",
      "new 2>2",
    ]);
  });

  test("what the largest cannot give up stays until the next step, as in Kubernetes", () => {
    const sets = { current: sized("new", 3, 12), old: ["a", "b", "c"].map((name) => sized(name, 3, 12)) };
    // Each is due half a Pod, which is rounded to one; the one that makes up for it has only three.
    expect(short(scaleStep(rolling(1, 1, 0), sets)).toSorted()).toEqual(["a 3>0", "b 3>1", "c 3>1", "new 3>1"]);
  });

  test("any sizes add up to what is allowed, and no set changes against the direction", () => {
    const sizes = fc.array(fc.integer({ min: 1, max: 20 }), { minLength: 2, maxLength: 5 });
    fc.assert(
      fc.property(sizes, fc.nat(40), fc.integer({ min: 1, max: 5 }), (sizes, replicas, surge) => {
        const total = sizes.reduce((sum, size) => sum + size, 0);
        const sets = sizes.map((size, at) => sized(`set${at}`, size, total));
        const deployment = rolling(replicas, surge, 0);
        // A current set of all replicas is the case before.
        fc.pre(sizes.at(-1) !== replicas);
        const resized = scaleStep(deployment, { current: sets.at(-1), old: sets.slice(0, -1) });
        const excess = resized.reduce((sum, one) => sum + one.replicas, 0) - maxReplicas(deployment);
        // The largest makes up for what is rounded, as far as it goes.
        if (resized[0]?.replicas === 0) expect(excess).toBeLessThan(sets.length);
        else expect(excess).toBe(0);
        expect(excess).toBeGreaterThanOrEqual(0);
        for (const { set, replicas } of resized) {
          if (maxReplicas(deployment) > total) expect(replicas).toBeGreaterThanOrEqual(set.spec.replicas);
          else expect(replicas).toBeLessThanOrEqual(set.spec.replicas);
        }
      }),
    );
  });
});

/** Sets with Pods that really exist beside what the controller last heard of them. */
class World {
  readonly deployment: Deployment;
  sets: { name: string; wanted: number; ready: number; starting: number; told: number }[];

  /** @param told how many of the first set's Pods, which are all ready, the controller has heard of. */
  constructor(deployment: Deployment, told: number) {
    this.deployment = deployment;
    this.sets = [
      {
        name: "set0",
        wanted: deployment.spec.replicas,
        ready: deployment.spec.replicas,
        starting: 0,
        told,
      },
    ];
  }

  newTemplate(): void {
    this.sets.push({ name: `set${this.sets.length}`, wanted: 0, ready: 0, starting: 0, told: 0 });
  }

  /** One turn of the Deployment's controller, on what it was told. */
  roll(): boolean {
    const all = this.sets.map(({ name, wanted, told }) => setOf(name, wanted, told));
    const step = rollingStep(this.deployment, { current: all.at(-1)!, old: all.slice(0, -1) });
    for (const { set, replicas } of step) this.sets.find(({ name }) => name === set.metadata.name)!.wanted = replicas;
    return step.length > 0;
  }

  /** One turn of a ReplicaSet's controller: Pods that are not ready go first. */
  fill(at: number): void {
    const set = this.sets[at % this.sets.length]!;
    const excess = set.ready + set.starting - set.wanted;
    if (excess < 0) set.starting -= excess;
    const starting = Math.min(set.starting, Math.max(0, excess));
    set.starting -= starting;
    if (excess > starting) set.ready -= excess - starting;
  }

  report(at: number): void {
    const set = this.sets[at % this.sets.length]!;
    set.told = set.ready;
  }

  becomeReady(at: number): void {
    const set = this.sets[at % this.sets.length]!;
    if (set.starting === 0) return;
    set.starting -= 1;
    set.ready += 1;
  }

  get ready(): number {
    return this.sets.reduce((sum, { ready }) => sum + ready, 0);
  }

  get pods(): number {
    return this.sets.reduce((sum, { ready, starting }) => sum + ready + starting, 0);
  }
}

test("whatever the order of events and however late the news, enough Pods stay ready, not too many exist, and the rollout ends", () => {
  const event = fc.tuple(
    fc.constantFrom("template", "roll", "roll", "fill", "fill", "report", "ready", "ready"),
    fc.nat(10),
  );
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 8 }),
      fc.nat(3),
      fc.nat(3),
      fc.nat(8),
      fc.array(event, { maxLength: 120 }),
      (replicas, surge, unavailable, told, events) => {
        const deployment = rolling(replicas, surge, unavailable);
        const bounds = tolerance(deployment);
        // Of enough Pods it is known in the beginning; as in Kubernetes, the others may be taken for broken ones.
        const known = Math.max(told, replicas - bounds.unavailable);
        const world = new World(deployment, Math.min(known, replicas));
        const check = (): void => {
          expect(world.ready).toBeGreaterThanOrEqual(replicas - bounds.unavailable);
          expect(world.sets.reduce((sum, { wanted }) => sum + wanted, 0)).toBeLessThanOrEqual(replicas + bounds.surge);
        };
        for (const [kind, at] of events) {
          if (kind === "template" && world.sets.length < 5) world.newTemplate();
          else if (kind === "roll") world.roll();
          else if (kind === "fill") world.fill(at);
          else if (kind === "report") world.report(at);
          else if (kind === "ready") world.becomeReady(at);
          check();
        }
        for (let turn = 0; turn < 100; turn += 1) {
          for (let at = 0; at < world.sets.length; at += 1) {
            world.fill(at);
            world.becomeReady(at);
            world.report(at);
          }
          world.roll();
          check();
        }
        expect(world.sets.map(({ wanted, ready }) => [wanted, ready])).toEqual([
          ...world.sets.slice(1).map(() => [0, 0]),
          [replicas, replicas],
        ]);
      },
    ),
    { numRuns: runs(300) },
  );
});

import { describe, expect, test } from "vitest";
import type { ProxyUpgrade } from "#api/kubernetes/proxy-upgrade.ts";
import type { SidecarUpgrade, SidecarUpgradeSpec } from "#api/weft/sidecar-upgrade.ts";
import { type PlanFacts, planned } from "./plan.ts";
import type { SeenSidecar } from "./selection.ts";

const start = Date.parse("2026-01-01T12:00:00Z");
const open = { opens: true, failed: false, why: "" };

/** Sidecars with agents that do what they are asked, and an upgrade of them that is looked at again and again. */
class Mesh {
  upgrade: SidecarUpgrade;
  now = start;
  gate: PlanFacts["gate"] = () => open;
  taken = new Map<string, string>();
  away = new Set<string>();
  readonly sidecars = new Map<string, SeenSidecar>();
  /** Who cannot be replaced. */
  bad: string | undefined;
  most = 0;

  constructor(spec: SidecarUpgradeSpec, count: number) {
    const metadata = { name: "one", uid: "u", generation: 1 };
    this.upgrade = { apiVersion: "mesh.weft.dev/v1alpha1", kind: "SidecarUpgrade", metadata, spec } as SidecarUpgrade;
    for (let index = 0; index < count; index += 1) {
      const pod = `pod-${index}`;
      this.sidecars.set(pod, { cluster: "east", namespace: "shop", pod, uid: `uid-${index}` });
    }
  }

  get status() {
    return this.upgrade.status!;
  }

  /** One look; then agents begin what is asked, and end what they had begun. */
  look(): void {
    const { now, gate, taken, away } = this;
    const seen = [...this.sidecars.values()];
    const plan = planned(this.upgrade, { seen, now, gate, taken, away });
    for (const [pod, each] of this.sidecars) {
      if (each.asked === undefined || each.upgrade?.phase === "Upgraded") continue;
      this.sidecars.set(pod, { ...each, upgrade: this.#end(each, each.asked) });
    }
    for (const { sidecar, envoy = "" } of plan?.asks ?? []) {
      const before = this.sidecars.get(sidecar.pod)!;
      const serves = before.upgrade?.serves ?? "1.40.0";
      this.sidecars.set(sidecar.pod, { ...before, asked: envoy, upgrade: { phase: "Starting", asked: envoy, serves } });
    }
    if (plan) this.upgrade = { ...this.upgrade, status: plan.status };
    const flying = seen.filter(({ upgrade }) => upgrade?.phase === "Starting").length;
    this.most = Math.max(this.most, flying);
    this.now += 1000;
  }

  #end({ pod, upgrade }: SeenSidecar, asked: string): ProxyUpgrade {
    const serves = upgrade?.serves ?? "1.40.0";
    if (pod === this.bad && asked === "1.37.0") return { phase: "Refused", asked, serves, problem: "no memory" };
    return { phase: "Upgraded", asked, serves: asked, before: serves, tookMs: 5, connections: 1, cut: 0 };
  }

  looks(times: number): void {
    for (let time = 0; time < times; time += 1) this.look();
  }

  versions(): readonly (string | undefined)[] {
    return [...new Set([...this.sidecars.values()].map(({ upgrade }) => upgrade?.serves))];
  }
}

const spec = (more: Partial<SidecarUpgradeSpec["strategy"] & object> = {}): SidecarUpgradeSpec => ({
  envoy: "1.37.0",
  strategy: { pause: "3s", waves: [10, 50, 100], maxInFlight: 3, ...more },
});

describe("an upgrade of sidecars", () => {
  test("goes in waves, a few at a time, and tells of each", () => {
    const mesh = new Mesh(spec(), 20);
    mesh.looks(4);
    expect(mesh.status).toMatchObject({ phase: "Running", wave: 1, total: 20, done: 2 });
    expect([...mesh.sidecars.values()].filter(({ asked }) => asked !== undefined)).toHaveLength(2);
    mesh.looks(60);
    expect(mesh.status).toMatchObject({ phase: "Completed", done: 20 });
    expect(mesh.most).toBeLessThanOrEqual(3);
    expect(mesh.status.sidecars![0]).toMatchObject({
      before: "1.40.0",
      after: "1.37.0",
      tookMs: 5,
      connections: 1,
      cut: 0,
    });
    expect(mesh.versions()).toEqual(["1.37.0"]);
  });

  test("is taken back where one sidecar cannot be replaced", () => {
    const mesh = new Mesh(spec(), 10);
    mesh.bad = "pod-4";
    mesh.looks(80);
    expect(mesh.status).toMatchObject({ phase: "RolledBack", message: "shop/pod-4 in east: no memory" });
    expect([...new Set([...mesh.sidecars.values()].map(({ asked = "1.40.0" }) => asked))]).toEqual(["1.40.0"]);
  });

  test("pauses there, if that is asked for", () => {
    const mesh = new Mesh(spec({ onFailure: "Pause" }), 10);
    mesh.bad = "pod-4";
    mesh.looks(80);
    expect(mesh.status.phase).toBe("Paused");
    expect(mesh.versions()).toContain("1.37.0");
  });

  test("begins no wave that is not approved, while it is paused, or out of its window", () => {
    const mesh = new Mesh(spec({ approval: "Manual" }), 10);
    mesh.looks(10);
    expect(mesh.status).toMatchObject({
      phase: "Paused",
      message: "wave 1 waits until spec.approvedWaves is 1",
      done: 0,
    });
    mesh.upgrade = { ...mesh.upgrade, spec: { ...mesh.upgrade.spec, approvedWaves: 1 } };
    mesh.looks(20);
    expect(mesh.status).toMatchObject({
      phase: "Paused",
      done: 1,
      message: "wave 2 waits until spec.approvedWaves is 2",
    });
    mesh.upgrade = { ...mesh.upgrade, spec: { ...mesh.upgrade.spec, approvedWaves: 3, paused: true } };
    mesh.looks(5);
    expect(mesh.status.message).toBe("spec.paused is set");
    const strategy = { ...mesh.upgrade.spec.strategy, window: { from: "22:00", to: "04:00" } };
    mesh.upgrade = { ...mesh.upgrade, spec: { ...mesh.upgrade.spec, paused: false, strategy } };
    mesh.looks(5);
    expect(mesh.status.message).toBe("it is not the hour of spec.strategy.window");
    mesh.now = Date.parse("2026-01-01T23:00:00Z");
    mesh.looks(60);
    expect(mesh.status.phase).toBe("Completed");
  });

  test("stays where a gate has nothing to see, and is taken back where it sees too much", () => {
    const mesh = new Mesh(spec(), 10);
    mesh.gate = () => ({ opens: false, failed: false, why: "no metrics" });
    mesh.looks(30);
    expect(mesh.status).toMatchObject({ phase: "Paused", message: "no metrics", done: 1 });
    mesh.gate = () => ({ opens: false, failed: true, why: "errors" });
    mesh.looks(30);
    expect(mesh.status).toMatchObject({ phase: "RolledBack", message: "errors" });
    expect([...mesh.sidecars.values()].every(({ upgrade }) => (upgrade?.serves ?? "1.40.0") === "1.40.0")).toBe(true);
  });

  test("is refused where it means nobody, or whom another has under way, until it is another one", () => {
    const none = new Mesh(spec(), 0);
    none.looks(2);
    expect(none.status).toMatchObject({
      phase: "Refused",
      message: "spec.selector: no sidecar that a node's agent runs is meant",
    });
    const mesh = new Mesh(spec(), 3);
    mesh.taken.set("uid-1", "other");
    mesh.looks(5);
    expect(mesh.status.message).toBe("spec.selector: the upgrade other has sidecars of these under way");
    mesh.taken.clear();
    mesh.looks(5);
    expect(mesh.status.phase).toBe("Refused");
    mesh.upgrade = { ...mesh.upgrade, metadata: { ...mesh.upgrade.metadata, generation: 2 } };
    mesh.looks(60);
    expect(mesh.status.phase).toBe("Completed");
  });

  test("goes on after a controller that asked and did not note it, and passes Pods over that are gone", () => {
    const mesh = new Mesh(spec(), 10);
    mesh.looks(2);
    const noted = mesh.upgrade;
    mesh.looks(1);
    mesh.upgrade = noted;
    mesh.sidecars.delete("pod-7");
    mesh.looks(60);
    expect(mesh.status).toMatchObject({ phase: "Completed", done: 9 });
    expect(mesh.status.sidecars!.find(({ pod }) => pod === "pod-7")!.phase).toBe("Gone");
  });

  test("waits for clusters that are away", () => {
    const mesh = new Mesh(spec(), 3);
    mesh.away.add("west");
    mesh.looks(2);
    expect(mesh.status).toMatchObject({ phase: "Paused", message: "these clusters cannot be asked now: west" });
    mesh.away.clear();
    mesh.looks(60);
    expect(mesh.status.phase).toBe("Completed");
  });
});

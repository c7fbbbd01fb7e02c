import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { type SidecarUpgrade, type SidecarUpgradeSpec, sidecarUpgrade } from "#api/weft/sidecar-upgrade.ts";
import type { KindClient } from "#kube/client.ts";
import { NodeWorld } from "../agent/node-world.ts";
import { eventually } from "../support/eventually.ts";

let world: NodeWorld;
let upgrades: KindClient<SidecarUpgrade>;

const names = ["one", "two", "three", "four"] as const;
const old = "1.37.0";

function catalog(): string {
  const path = execFileSync(process.execPath, ["setup/program.ts", "envoy", old], { encoding: "utf8" }).trim();
  const sha256 = createHash("sha256").update(readFileSync(path)).digest("hex");
  const file = join(world.root, "envoys.json");
  writeFileSync(file, JSON.stringify({ [old]: { program: path, sha256 } }));
  return file;
}

function podManifest(name: string) {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "shop", annotations: { "proxy.istio.io/config": "drainDuration: 1s" } },
    spec: {
      nodeName: world.node,
      terminationGracePeriodSeconds: 1,
      containers: [{ name: "app", image: "test/sh", args: ["exec node test/upgrade/server-main.ts"] }],
    },
  };
}

async function begin(name: string, spec: SidecarUpgradeSpec): Promise<void> {
  await upgrades.create({ metadata: { name }, spec });
}

async function until(name: string, check: (status: NonNullable<SidecarUpgrade["status"]>) => boolean) {
  const look = async () => {
    const { status = {} } = await upgrades.get({ name });
    if (!check(status)) throw new Error(JSON.stringify(status));
    return status;
  };
  return eventually(`the upgrade ${name}`, look, 60_000);
}

const inPhase = (phase: string) => (status: { readonly phase?: string }) => status.phase === phase;

const version = async (name: string): Promise<string> => {
  const { text } = await world.ask(`/proxy/shop/${name}/15000/server_info`);
  return (JSON.parse(text) as { version: string }).version.split("/")[1] ?? "";
};

beforeAll(async () => {
  world = await NodeWorld.start();
  upgrades = world.client.of<SidecarUpgrade>(sidecarUpgrade);
  world.envoys = catalog();
  world.startAgent();
  for (const name of names) await world.create(podManifest(name));
  for (const name of names) await world.ready("shop", name);
}, 120_000);

afterEach(({ task }) => {
  if (task.result?.state === "fail")
    console.error(readFileSync(world.agentLog, "utf8").split("\n").slice(-20).join("\n"));
});

afterAll(async () => {
  await world[Symbol.asyncDispose]();
});

describe("sidecars are upgraded in waves", () => {
  const strategy = { waves: [25, 100], pause: "1s", maxInFlight: 2 };

  it("by a control plane that ends in between and goes on, with a report of each", async () => {
    await begin("forth", { envoy: old, strategy });
    await until("forth", ({ done = 0 }) => done === 1);
    await world.stopDiscovery();
    world.startDiscovery();
    const { sidecars = [] } = await until("forth", inPhase("Completed"));
    expect(sidecars).toHaveLength(4);
    expect(sidecars.map(({ wave }) => wave)).toEqual([1, 2, 2, 2]);
    for (const each of sidecars) {
      expect(each).toMatchObject({ phase: "Upgraded", before: "1.40.0", after: old, cluster: "east" });
      expect(each.tookMs).toBeGreaterThan(0);
    }
    expect(await Promise.all(names.map(version))).toEqual([old, old, old, old]);
  });

  it("not to a version that a node does not have: all stay as they are", async () => {
    await begin("unknown", { envoy: "1.99.0", strategy });
    const { message } = await until("unknown", inPhase("RolledBack"));
    expect(message).toContain("this node has no Envoy 1.99.0");
    expect(await Promise.all(names.map(version))).toEqual([old, old, old, old]);
  });

  it("not two at a time, and not nobody", async () => {
    await begin("nobody", { envoy: old, selector: { namespaces: ["plain"] } });
    expect((await until("nobody", inPhase("Refused"))).message).toContain(
      "no sidecar that a node's agent runs is meant",
    );
    await begin("first", { envoy: "1.40.0", strategy: { ...strategy, approval: "Manual" } });
    await until("first", inPhase("Paused"));
    await begin("second", { envoy: "1.40.0", selector: { workloads: ["two"] } });
    expect((await until("second", inPhase("Refused"))).message).toContain(
      "the upgrade first has sidecars of these under way",
    );
    await upgrades.patch({ name: "first" }, { kind: "merge", body: { spec: { approvedWaves: 2 } } });
    await until("first", inPhase("Completed"));
    expect(await Promise.all(names.map(version))).toEqual(["1.40.0", "1.40.0", "1.40.0", "1.40.0"]);
  });

  it("not further where a gate has nothing to compare", async () => {
    await begin("gated", { envoy: old, strategy: { ...strategy, gates: { maxErrorPercentMore: 1 } } });
    const { message, done } = await until("gated", (status) => inPhase("Paused")(status) && status.done === 1);
    expect(message).toContain("spec.strategy.gates.maxErrorPercentMore has no metrics to compare");
    expect(done).toBe(1);
  });
});

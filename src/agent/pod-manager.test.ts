import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import { systemClock as clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { silentLogger as logger } from "#base/logger.ts";
import type { EventText } from "#kube/events.ts";
import { Addresses } from "./addresses.ts";
import { BaseIds } from "./base-ids.ts";
import { cleanUpAgents } from "./cleanup.ts";
import { ControlPlane } from "./control-plane.ts";
import { NameFiles } from "./dns/name-files.ts";
import { EnvoyPrograms } from "./handover/programs.ts";
import { AgentLayout, baseIdFolder } from "./layout.ts";
import { embeddedSite } from "./pod-start.ts";
import { NodeTraffic } from "./traffic/node-traffic.ts";
import { PodManager } from "./pod-manager.ts";
import { Programs } from "./programs.ts";
import { PodRecords } from "./records.ts";
import { podOf } from "./testing/pods.ts";

const instance = `m${process.pid}`;
let root: string;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "weft-manager-"));
});

afterEach(async () => {
  // Without the instance's fabric no Pod gets further than its namespace.
  await cleanUpAgents({ instance, stateDir: root, runDir: join(root, "run") });
  rmSync(root, { recursive: true, force: true });
});

function makeManager(podCidr: string, namespaceLabels: (name: string) => Promise<StringMap>) {
  const options = {
    instance,
    cluster: "east",
    node: "node-1",
    region: "",
    zone: "",
    network: "",
    stateDir: join(root, "agents", "node-1"),
    runDir: join(root, "run"),
    api: "",
    xds: "",
    hostNetwork: "/proc/self/ns/net",
    programs: { file: join(root, "programs.json"), folder: root },
    envoy: { program: "/bin/false", concurrency: 1 },
    resolvers: [],
    clusterDomain: "cluster.local",
    meshId: "cluster.local",
    revision: "default",
    version: "0.0.0",
  };
  const layout = new AgentLayout(options);
  const told: EventText[] = [];
  const gone: string[] = [];
  const xds = new ControlPlane({ address: options.xds, logger });
  const manager = new PodManager(
    {
      options,
      layout,
      network: { hostIp: "10.9.0.1", prefix: 24 },
      clock,
      logger,
      programs: new Programs(options.programs),
      traffic: new NodeTraffic({ name: instance, clock, logger }),
      xds: () => xds,
      records: new PodRecords(layout),
      // The machine's own: a number of another folder may be that of an Envoy elsewhere, whose memory it would take away.
      baseIds: new BaseIds(baseIdFolder),
      names: new NameFiles(layout.names),
      site: (pod) => embeddedSite(instance, layout, pod),
      envoy: options.envoy.program,
      envoys: new EnvoyPrograms({ usual: options.envoy.program, folder: layout.programs }),
      tell: (_pod, text) => told.push(text),
      configMap: () => Promise.resolve({}),
      secret: () => Promise.resolve({}),
    },
    new Addresses(podCidr),
    { changed: () => undefined, remove: ({ metadata }) => gone.push(metadata.name), namespaceLabels },
  );
  return { manager, told, gone };
}

function named(name: string): Pod {
  return podOf({ name, uid: `uid-of-${name}`, labels: {} });
}

async function running(manager: PodManager, test: () => Promise<void>): Promise<void> {
  const end = new AbortController();
  const run = manager.run(end.signal);
  try {
    await test();
  } finally {
    end.abort();
    await run;
    await manager[Symbol.asyncDispose]();
  }
}

const patience = { timeout: 60_000 };

describe("a node's Pods", () => {
  it("get their proxies by their namespace as the API has it, and wait for the API where it is away", async () => {
    let asked = 0;
    const { manager } = makeManager("10.9.0.0/24", () => {
      asked += 1;
      if (asked < 3) return Promise.reject(new WeftError("Unavailable", "the API is away"));
      return Promise.resolve({ "istio-injection": "enabled" });
    });
    await running(manager, async () => {
      manager.put(named("early"));
      await expect.poll(() => manager.find("shop", "early")?.role, patience).toBe("sidecar");
    });
    expect(asked).toBe(3);
  });

  it("begin later when no address is free, and are told why", async () => {
    const { manager, told, gone } = makeManager("10.9.0.0/30", () => Promise.resolve({}));
    await running(manager, async () => {
      manager.put(named("first"));
      await expect.poll(() => manager.find("shop", "first")?.address, patience).toBe("10.9.0.2");
      manager.put(named("second"));
      await expect
        .poll(() => told.map(({ message }) => message), patience)
        .toContain("all 1 Pod addresses of the node are taken");
      manager.drop(named("first"));
      await expect.poll(() => gone, patience).toEqual(["first"]);
      await expect.poll(() => manager.find("shop", "second")?.address, patience).toBe("10.9.0.2");
    });
  });

  it("that go before they begin leave nothing", async () => {
    const { manager, gone } = makeManager("10.9.0.0/24", () => Promise.reject(new WeftError("Unavailable", "away")));
    await running(manager, async () => {
      manager.put(named("short"));
      manager.put({
        ...named("short"),
        metadata: { ...named("short").metadata, deletionTimestamp: "2026-01-01T00:00:00Z" },
      });
      await expect.poll(() => gone, patience).toEqual(["short"]);
    });
    expect(manager.records()).toEqual([]);
  });
});

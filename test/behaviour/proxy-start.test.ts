/**
 * How the node's agent starts proxies: settings of the mesh, of ProxyConfigs and of Pods, and patches of the bootstrap. Names of
 * groups are those of Istio's references "ProxyConfig" and "EnvoyFilter".
 */
import { readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { envoyFilter } from "#api/istio/envoy-filter.ts";
import type { Mesh } from "#api/weft/mesh.ts";
import { mesh } from "#api/weft/mesh.ts";
import { NodeWorld } from "../agent/node-world.ts";
import { eventually } from "../support/eventually.ts";

/** What Envoy's `/server_info` tells. */
interface ServerInfo {
  readonly node: { readonly cluster: string; readonly metadata: Readonly<Record<string, unknown>> };
  readonly command_line_options: Readonly<Record<string, unknown>>;
}

let world: NodeWorld;

const podOf = (name: string, annotations = {}) => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "shop", labels: { app: name }, annotations },
  spec: {
    nodeName: world.node,
    terminationGracePeriodSeconds: 3,
    containers: [
      {
        name: "app",
        image: "test/program:v1",
        readinessProbe: { httpGet: { path: "/ready", port: 8080 }, periodSeconds: 1 },
      },
    ],
  },
});

const bootstrapPatch = (name: string, value: object, app = name) => ({
  apiVersion: "networking.istio.io/v1alpha3",
  kind: "EnvoyFilter",
  metadata: { name, namespace: "shop" },
  spec: {
    workloadSelector: { labels: { app } },
    configPatches: [{ applyTo: "BOOTSTRAP", patch: { operation: "MERGE", value } }],
  },
});

const staticCluster = (name: string) => ({
  name,
  type: "STATIC",
  load_assignment: { cluster_name: name },
});

const infoOf = (name: string) => world.inPod<ServerInfo>("shop", name, 15000, "/server_info");

async function setDefaults(defaultConfig: NonNullable<Mesh["spec"]["defaultConfig"]>): Promise<void> {
  const body = { spec: { defaultConfig } };
  await world.client.of<Mesh>(mesh).patch({ name: "default" }, { kind: "merge", body });
}

const defaults = {
  concurrency: 2,
  drainDuration: "30s",
  tracingServiceName: "CANONICAL_NAME_ONLY",
  proxyMetadata: { ISTIO_META_TEAM: "mesh", COLOUR: "mesh" },
  runtimeValues: { "envoy.reloadable_features.test_feature_false": "true", "re2.max_program_size.error_level": "" },
  proxyStatsMatcher: { inclusionRegexps: ["cluster\\..*upstream_cx_active"] },
  holdApplicationUntilProxyStarts: true,
} as const;

beforeAll(async () => {
  world = await NodeWorld.start();
  await setDefaults(defaults);
  await world.create({
    apiVersion: "networking.istio.io/v1beta1",
    kind: "ProxyConfig",
    metadata: { name: "picked", namespace: "shop" },
    spec: {
      selector: { matchLabels: { app: "picked" } },
      concurrency: 3,
      environmentVariables: { COLOUR: "workload", ISTIO_META_SHAPE: "round" },
    },
  });
  await world.create(bootstrapPatch("patched", { static_resources: { clusters: [staticCluster("patched_in")] } }));
  // Envoy's schema has nothing against two clusters of one name, but Envoy has.
  await world.create(bootstrapPatch("doubled", { static_resources: { clusters: [staticCluster("xds-grpc")] } }));
  await world.create(bootstrapPatch("misspelt", { admin: "here" }, "doubled"));
  await world.create(bootstrapPatch("held", { node: { id: "somebody else" } }));
  world.startAgent();
  const annotation = {
    "proxy.istio.io/config": "concurrency: 4\nproxyMetadata: { COLOUR: pod, ISTIO_META_TEAM: pod }",
  };
  for (const name of ["plain", "patched", "doubled", "held"]) await world.create(podOf(name));
  await world.create(podOf("picked", annotation));
  const names = ["plain", "patched", "doubled", "picked"];
  // One after the other: each may take its time on a busy machine.
  for (const name of names) await world.ready("shop", name);
});

afterAll(async () => {
  await (world as NodeWorld | undefined)?.[Symbol.asyncDispose]();
});

describe("ProxyConfig", () => {
  test("defaultConfig of the mesh: workers, draining, names, metadata and environment", async () => {
    const { node, command_line_options: options } = await infoOf("plain");
    expect(options).toMatchObject({ concurrency: 2, drain_time: "30s" });
    expect(node).toMatchObject({ cluster: "plain", metadata: { TEAM: "mesh" } });
    const { pid } = world.start(await world.ready("shop", "plain"), "istio-proxy");
    expect(readFileSync(`/proc/${pid}/environ`, "utf8").split("\0")).toContain("COLOUR=mesh");
  });

  test("runtimeValues and proxyStatsMatcher", async () => {
    const { entries } = await world.inPod<{ entries: Readonly<Record<string, { readonly final_value: string }>> }>(
      "shop",
      "plain",
      15000,
      "/runtime",
    );
    expect(entries["envoy.reloadable_features.test_feature_false"]?.final_value).toBe("true");
    expect(entries["re2.max_program_size.error_level"]).toBeUndefined();
    const { stats } = await world.inPod<{ stats: readonly { readonly name?: string }[] }>(
      "shop",
      "plain",
      15000,
      "/stats?format=json",
    );
    expect(stats.map(({ name = "" }) => name)).toContainEqual(expect.stringMatching(/upstream_cx_active$/));
  });

  test("holdApplicationUntilProxyStarts", async () => {
    // Its proxy runs, but the agent lets no proxy of another name to the control plane, so that it is never ready.
    await eventually("the proxy answers", async () => (await infoOf("held")).node);
    const pod = await world.pods.get({ namespace: "shop", name: "held" });
    expect(pod.status?.containerStatuses?.[0]?.state).toHaveProperty("waiting");
  });

  test("the annotation goes before the mesh's, a ProxyConfig that selects the workload before both", async () => {
    const picked = await infoOf("picked");
    expect(picked.command_line_options).toMatchObject({ concurrency: 3, drain_time: "30s" });
    expect(picked.node.metadata).toMatchObject({ TEAM: "pod", SHAPE: "round" });
    const { pid } = world.start(await world.ready("shop", "picked"), "istio-proxy");
    expect(readFileSync(`/proc/${pid}/environ`, "utf8").split("\0")).toContain("COLOUR=workload");
  });
});

describe("BOOTSTRAP", () => {
  const clusters = async (name: string): Promise<string> =>
    JSON.stringify(await world.inPod("shop", name, 15000, "/clusters?format=json"));

  test("MERGE into the bootstrap of the proxies that it selects", async () => {
    expect(await clusters("patched")).toContain("patched_in");
    expect(await clusters("plain")).not.toContain("patched_in");
  });

  test("what Envoy refuses stops no proxy, and is told", async () => {
    expect(await clusters("doubled")).toContain("xds-grpc");
    await eventually("an event tells of it", async () => {
      const { items } = await world.events.list({ namespace: "shop" });
      return items.some(({ reason, message = "" }) => reason === "BootstrapRefused" && message.includes("xds-grpc"));
    });
    const filters = world.client.of(envoyFilter);
    await eventually("the EnvoyFilter that is none of Envoy's schema says so", async () => {
      const found = await filters.find({ namespace: "shop", name: "misspelt" });
      return JSON.stringify(found?.["status"] ?? {}).includes("spec.configPatches[0].patch.value");
    });
  });
});

describe("changes", () => {
  test("of settings that hold from a proxy's start are due, and hold for its next start", async () => {
    const due = (status: string) => async (): Promise<boolean> => {
      const pod = await world.pods.get({ namespace: "shop", name: "plain" });
      return pod.status?.conditions?.find(({ type }) => type === "mesh.weft.dev/ProxyCurrent")?.status === status;
    };
    await eventually("the proxy is current", due("True"));
    await setDefaults({ ...defaults, drainDuration: "20s" });
    await eventually("a restart is due", due("False"));
    const { pid } = world.start(await world.ready("shop", "plain"), "istio-proxy");
    expect((await infoOf("plain")).command_line_options).toMatchObject({ drain_time: "30s" });
    process.kill(pid, "SIGKILL");
    await eventually("the next proxy has them", async () => {
      const { command_line_options: options } = await infoOf("plain");
      return options["drain_time"] === "20s";
    });
    await eventually("the proxy is current", due("True"));
  });
});

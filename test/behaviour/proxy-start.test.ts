/**
 * How the node's agent starts proxies: settings of the mesh, of ProxyConfigs and of Pods, and patches of the bootstrap. Names of
 * groups are those of Istio's references "ProxyConfig" and "EnvoyFilter".
 */
import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { envoyFilter } from "#api/istio/envoy-filter.ts";
import type { Mesh } from "#api/weft/mesh.ts";
import { mesh } from "#api/weft/mesh.ts";
import { profileKey } from "#api/weft/profile.ts";
import { NodeWorld } from "../agent/node-world.ts";
import { eventually } from "../support/eventually.ts";
import { NameServer } from "../support/name-server.ts";

/** What Envoy's `/server_info` tells. */
interface ServerInfo {
  readonly node: {
    readonly id: string;
    readonly cluster: string;
    readonly metadata: Readonly<Record<string, unknown>>;
  };
  readonly command_line_options: Readonly<Record<string, unknown>>;
}

let world: NodeWorld;
let names: NameServer;
const addresses = new Map<string, string>();

const podOf = (name: string, annotations = {}, namespace = "shop") => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace, labels: { app: name }, annotations },
  spec: {
    nodeName: world.node,
    terminationGracePeriodSeconds: 3,
    containers: [
      {
        name: "app",
        image: "test/program:v1",
        env: [{ name: "POD_NAME", value: name }],
        readinessProbe: { httpGet: { path: "/ready", port: 8080 }, periodSeconds: 1 },
      },
    ],
  },
});

/** A cluster whose endpoints are asked for where nobody knows them. */
const neverKnown = {
  name: "never_known",
  type: "EDS",
  eds_cluster_config: {
    eds_config: {
      resource_api_version: "V3",
      initial_fetch_timeout: "0s",
      api_config_source: {
        api_type: "GRPC",
        transport_api_version: "V3",
        grpc_services: [{ envoy_grpc: { cluster_name: "prometheus_stats" } }],
      },
    },
  },
};

const bootstrapPatch = (name: string, value: object, app = name) => ({
  apiVersion: "networking.istio.io/v1alpha3",
  kind: "EnvoyFilter",
  metadata: { name, namespace: "shop" },
  spec: {
    workloadSelector: { labels: { app } },
    configPatches: [{ applyTo: "BOOTSTRAP", patch: { operation: "MERGE", value } }],
  },
});

const entry = (name: string, resolution: string, host: string) => ({
  apiVersion: "networking.istio.io/v1",
  kind: "ServiceEntry",
  metadata: { name, namespace: "shop" },
  spec: {
    hosts: [host],
    location: "MESH_EXTERNAL",
    resolution,
    ports: [{ number: 8080, name: "http", protocol: "HTTP" }],
  },
});

const outside = ["one.outside.test", "large.outside.test", "a.wild.test"] as const;

/** A Pod outside the mesh whose address only the host's name server tells, and what the mesh says of it. */
async function startOutside(): Promise<void> {
  await world.create(podOf("outside", {}, "plain"));
  const { status } = await world.ready("plain", "outside");
  for (const name of outside) addresses.set(name, status?.podIP ?? "");
  await world.create(entry("one", "DNS", "one.outside.test"));
  await world.create(entry("large", "DNS_ROUND_ROBIN", "large.outside.test"));
  await world.create(entry("wild", "DYNAMIC_DNS", "*.wild.test"));
}

/** A gateway that leads to a name outside the mesh. */
async function createGateway(): Promise<void> {
  const labels = { "sidecar.istio.io/inject": "true", app: "gateway" };
  const port = { number: 8080, name: "http", protocol: "HTTP" };
  const metadata = { name: "gateway", namespace: "shop" };
  const istio = { apiVersion: "networking.istio.io/v1", metadata };
  const route = [{ destination: { host: "large.outside.test" } }];
  const manifests = [
    { ...istio, kind: "Gateway", spec: { selector: { app: "gateway" }, servers: [{ port, hosts: ["*"] }] } },
    { ...istio, kind: "VirtualService", spec: { hosts: ["*"], gateways: ["gateway"], http: [{ route }] } },
    {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { ...metadata, labels, annotations: { "inject.istio.io/templates": "gateway" } },
      spec: { nodeName: world.node, containers: [{ name: "istio-proxy", image: "auto" }] },
    },
  ];
  for (const manifest of manifests) await world.create(manifest);
}

const staticCluster = (name: string) => ({
  name,
  type: "STATIC",
  load_assignment: { cluster_name: name },
});

/** What Envoy's `/clusters` tells. */
interface Clusters {
  readonly cluster_statuses: readonly {
    readonly name: string;
    readonly host_statuses?: readonly {
      readonly address: { readonly socket_address: { readonly address: string } };
      readonly hostname?: string;
      readonly locality?: { readonly zone?: string };
    }[];
  }[];
}

const clustersOf = (name: string) => world.inPod<Clusters>("shop", name, 15000, "/clusters?format=json");

const infoOf = (name: string) => world.inPod<ServerInfo>("shop", name, 15000, "/server_info");

async function setDefaults(defaultConfig: NonNullable<Mesh["spec"]["defaultConfig"]>): Promise<void> {
  const body = { spec: { defaultConfig } };
  await world.client.of<Mesh>(mesh).patch({ name: "default" }, { kind: "merge", body });
}

const defaults = {
  concurrency: 2,
  drainDuration: "30s",
  fileFlushInterval: "0.25s",
  fileFlushMinSizeKb: 32,
  tracingServiceName: "CANONICAL_NAME_ONLY",
  proxyMetadata: { ISTIO_META_TEAM: "mesh", COLOUR: "mesh" },
  runtimeValues: { "envoy.reloadable_features.test_feature_false": "true", "re2.max_program_size.error_level": "" },
  proxyStatsMatcher: { inclusionRegexps: ["cluster\\..*upstream_cx_active"] },
  holdApplicationUntilProxyStarts: true,
} as const;

beforeAll(async () => {
  world = await NodeWorld.start();
  const resolver = `127.53.${(process.pid >> 8) & 0xff}.${process.pid & 0xff}`;
  names = await NameServer.ofMachine(resolver, addresses);
  world.resolvers = [resolver];
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
  await world.create(
    bootstrapPatch("patched", {
      node: {
        id: "somebody else",
        cluster: "renamed",
        metadata: { NAMESPACE: "plain", CLUSTER_ID: "west", SHAPE: "odd" },
      },
      static_resources: { clusters: [staticCluster("patched_in")] },
    }),
  );
  // Envoy's schema has nothing against two clusters of one name, but Envoy has.
  await world.create(bootstrapPatch("doubled", { static_resources: { clusters: [staticCluster("xds-grpc")] } }));
  await world.create(bootstrapPatch("misspelt", { admin: "here" }, "doubled"));
  await world.create(bootstrapPatch("held", { static_resources: { clusters: [neverKnown] } }));
  await world.create({
    apiVersion: "v1",
    kind: "Service",
    metadata: { name: "picked", namespace: "shop" },
    spec: { selector: { app: "picked" }, ports: [{ name: "http", port: 80, targetPort: 8080 }] },
  });
  world.startAgent();
  await startOutside();
  await createGateway();
  const annotation = {
    "proxy.istio.io/config":
      'concurrency: 4\nserviceCluster: ours\nterminationDrainDuration: 8s\nproxyMetadata: { COLOUR: pod, ISTIO_META_TEAM: pod, ISTIO_META_ENABLE_SELF_DISCOVERY: "true" }',
  };
  for (const name of ["plain", "patched", "doubled", "held"]) await world.create(podOf(name));
  await world.create(podOf("picked", { ...annotation, [profileKey]: "performance" }));
  const ready = ["plain", "patched", "doubled", "picked", "gateway"];
  // One after the other: each may take its time on a busy machine.
  for (const name of ready) await world.ready("shop", name);
});

afterAll(async () => {
  (names as NameServer | undefined)?.[Symbol.dispose]();
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

  test("fileFlushInterval and fileFlushMinSizeKb: how logs are written", async () => {
    expect((await infoOf("plain")).command_line_options).toMatchObject({ file_flush_interval: "0.250s" });
    // Envoy does not tell the size; it would not have started with a flag that it does not know.
    const { pid } = world.start(await world.ready("shop", "plain"), "istio-proxy");
    expect(readFileSync(`/proc/${pid}/cmdline`, "utf8")).toContain("--file-flush-min-size-kb\x0032\x00");
  });

  test("serviceCluster goes before tracingServiceName", async () => {
    expect((await infoOf("picked")).node).toMatchObject({ cluster: "ours" });
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

  test("the profile performance: statistics are put together when they are asked for, and current then", async () => {
    const flushes = async (name: string) =>
      JSON.stringify(await world.inPod("shop", name, 15000, "/config_dump?mask=bootstrap.stats_flush_on_admin"));
    expect(await flushes("picked")).toContain('"stats_flush_on_admin":true');
    expect(await flushes("plain")).not.toContain("stats_flush_on_admin");
    const uptime = async (): Promise<number> => {
      const { stats } = await world.inPod<{ stats: readonly { readonly name?: string; readonly value?: number }[] }>(
        "shop",
        "picked",
        15000,
        "/stats?format=json",
      );
      expect(stats.map(({ name = "" }) => name)).toContain("server.total_connections");
      return stats.find(({ name }) => name === "server.uptime")?.value ?? 0;
    };
    const before = await uptime();
    await eventually("a later question has a later answer", async () => (await uptime()) > before);
  });

  test("holdApplicationUntilProxyStarts", async () => {
    // Its proxy runs, but waits for the endpoints of a cluster that nobody tells, so that it is never ready.
    await eventually("the proxy answers", async () => (await infoOf("held")).node);
    const pod = await world.pods.get({ namespace: "shop", name: "held" });
    expect(pod.status?.containerStatuses?.[0]?.state).toHaveProperty("waiting");
  });

  test("ISTIO_META_ENABLE_SELF_DISCOVERY: the proxy knows how its own kind is shared out over zones", async () => {
    const { status } = await world.ready("shop", "picked");
    await eventually("it is one of its own kind", async () => {
      const { cluster_statuses: clusters } = await clustersOf("picked");
      const own = clusters.find(({ name }) => name === "local_cluster");
      const [host] = own?.host_statuses ?? [];
      return host?.address.socket_address.address === status?.podIP && host?.locality?.zone === "z";
    });
    expect((await clustersOf("plain")).cluster_statuses.map(({ name }) => name)).not.toContain("local_cluster");
  });

  test("the annotation goes before the mesh's, a ProxyConfig that selects the workload before both", async () => {
    const picked = await infoOf("picked");
    expect(picked.command_line_options).toMatchObject({ concurrency: 3, drain_time: "30s" });
    expect(picked.node.metadata).toMatchObject({ TEAM: "pod", SHAPE: "round" });
    const { pid } = world.start(await world.ready("shop", "picked"), "istio-proxy");
    expect(readFileSync(`/proc/${pid}/environ`, "utf8").split("\0")).toContain("COLOUR=workload");
  });
});

describe("names outside the mesh", () => {
  const asked = (name: string, url: string): Promise<{ readonly pod: string }> =>
    world.inPod<{ readonly pod: string }>("shop", name, 8080, url);

  test.each(outside)("a sidecar calls %s where the host's name servers say it is", async (host) => {
    await eventually("the call arrives", async () => {
      const { pod } = await asked("plain", `/ask?http://${host}:8080/`);
      return pod === "outside";
    });
    const { cluster_statuses: clusters } = await clustersOf("plain");
    const found = clusters
      .flatMap(({ host_statuses: hosts = [] }) => hosts)
      .filter(({ hostname }) => hostname?.startsWith(host));
    expect(found.map(({ address }) => address.socket_address.address)).toEqual([addresses.get(host)]);
  });

  test("a gateway does, too", async () => {
    await eventually("the call arrives", async () => (await asked("gateway", "/")).pod === "outside");
  });

  test("are all that the host's name servers hear", () => {
    expect(names.asked.filter((name) => /cluster\.local$|^picked/.test(name))).toEqual([]);
    expect(names.asked).toEqual(expect.arrayContaining([...outside]));
  });
});

describe("BOOTSTRAP", () => {
  const clusters = async (name: string): Promise<string> => JSON.stringify(await clustersOf(name));

  test("MERGE into the bootstrap of the proxies that it selects", async () => {
    expect(await clusters("patched")).toContain("patched_in");
    expect(await clusters("plain")).not.toContain("patched_in");
  });

  test("leaves the proxy what it is known by", async () => {
    const { node } = await infoOf("patched");
    expect(node).toMatchObject({
      cluster: "renamed",
      metadata: { NAMESPACE: "shop", CLUSTER_ID: "east", SHAPE: "odd" },
    });
    expect(node.id).toMatch(/^sidecar~.*~patched\.shop~/);
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

describe("removal", () => {
  test("terminationDrainDuration: a proxy outlives its application for so long", async () => {
    const at = { namespace: "shop", name: "picked" };
    const pod = await world.ready("shop", "picked");
    const [app, proxy] = ["app", "istio-proxy"].map((name) => world.start(pod, name).pid);
    const runs = (pid = 0): boolean => existsSync(`/proc/${pid}`);
    const began = performance.now();
    await world.pods.delete(at, { gracePeriodSeconds: 60 });
    await eventually("the application has ended", () => !runs(app));
    await eventually("the proxy has ended", () => !runs(proxy));
    // Without it, the proxy would have gone after the usual five seconds.
    expect(performance.now() - began).toBeGreaterThan(7900);
  });
});

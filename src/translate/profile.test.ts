import { expect, it } from "vitest";
import { create, fromBinary, type MessageInitShape, toJson } from "@bufbuild/protobuf";
import { AnySchema, anyUnpack } from "@bufbuild/protobuf/wkt";
import { loadRegistry } from "#proto/registry.ts";
import { type Bootstrap, BootstrapSchema } from "#proto/gen/envoy/config/bootstrap/v3/bootstrap_pb.js";
import { bootstrapPart } from "./bootstrap.ts";
import { resourcesOf } from "./proxy-resources.ts";
import { meshOf } from "./testing/mesh.ts";

const registry = loadRegistry();
const filters = ["grpc_stats", "fault", "cors"] as const;

interface Told {
  readonly annotation?: string;
  readonly label?: string;
  readonly mesh?: object;
  readonly objects?: readonly object[];
  readonly config?: string;
  readonly type?: "router";
}

/** Which of the filters a workload's listeners have, by the listeners' names. */
function filtersOf({
  annotation,
  label,
  mesh = {},
  objects = [],
  config,
  type,
}: Told): Readonly<Record<string, string[]>> {
  const annotations = {
    ...(annotation !== undefined && { "mesh.weft.dev/profile": annotation }),
    ...(config !== undefined && { "proxy.istio.io/config": config }),
  };
  const labels = label === undefined ? {} : { "mesh.weft.dev/profile": label };
  const proxy = {
    id: `${type ?? "sidecar"}~10.10.0.5~client-1.shop~shop.svc.cluster.local`,
    metadata: { NAMESPACE: "shop", CLUSTER_ID: "east", LABELS: { app: "client" }, ANNOTATIONS: annotations },
  };
  const ports = [{ name: "http", port: 80, targetPort: 8080 }];
  const own = [
    { kind: "Namespace", metadata: { name: "shop", labels } },
    {
      kind: "Service",
      metadata: { name: "client", namespace: "shop" },
      spec: { clusterIP: "10.110.0.3", selector: { app: "client" }, ports },
    },
  ];
  const gateway = {
    kind: "Gateway",
    metadata: { name: "edge", namespace: "shop" },
    spec: {
      selector: { app: "client" },
      servers: [{ port: { number: 8090, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
    },
  };
  const documents = [
    { proxy, mesh, clusters: [{ name: "east", network: "main" }] },
    { cluster: "east", objects: own },
    { objects: [...objects, ...(type ? [gateway] : [])] },
  ];
  const made = meshOf(documents.map((document) => JSON.stringify(document)).join("\n---\n"));
  const { listener } = resourcesOf(made.translator, made.node);
  return Object.fromEntries(
    [...listener.values()].map(({ name, any }) => {
      const text = JSON.stringify(toJson(AnySchema, fromBinary(AnySchema, any), { registry }));
      return [name, filters.filter((each) => text.includes(`envoy.filters.http.${each}"`))];
    }),
  );
}

const all = { virtualInbound: [...filters], "0.0.0.0_80": [...filters] };
const lean = { virtualInbound: [], "0.0.0.0_80": ["fault", "cors"] };
const performance = { annotation: "performance" } as const;

const filter = (applyTo: string, value: object): object => ({
  kind: "EnvoyFilter",
  metadata: { name: "own", namespace: "shop" },
  spec: { configPatches: [{ applyTo, patch: { operation: "MERGE", value } }] },
});

it.each<readonly [string, Told, Readonly<Record<string, readonly string[]>>]>([
  ["nobody says one", {}, all],
  ["the workload says so", performance, lean],
  ["its namespace says so", { label: "performance" }, lean],
  ["the mesh says so", { mesh: { profile: "performance" } }, lean],
  ["the workload says otherwise than the mesh", { mesh: { profile: "performance" }, annotation: "default" }, all],
  ["the namespace says otherwise than the mesh", { mesh: { profile: "performance" }, label: "default" }, all],
  ["a word means nothing", { mesh: { profile: "performance" }, annotation: "fast" }, lean],
  [
    "other statistics are asked for",
    { ...performance, config: "proxyStatsMatcher: { inclusionPrefixes: [cluster] }" },
    { virtualInbound: ["grpc_stats"], "0.0.0.0_80": [...filters] },
  ],
  [
    "the log shows the state of requests",
    { ...performance, mesh: { accessLogFile: "/dev/stdout", accessLogFormat: "%FILTER_STATE(x)%" } },
    { virtualInbound: ["grpc_stats"], "0.0.0.0_80": [...filters] },
  ],
  [
    "an EnvoyFilter patches the bootstrap",
    { ...performance, objects: [filter("BOOTSTRAP", { stats_config: {} })] },
    { virtualInbound: ["grpc_stats"], "0.0.0.0_80": [...filters] },
  ],
  [
    "an EnvoyFilter gives routes faults",
    {
      ...performance,
      objects: [filter("HTTP_ROUTE", { typed_per_filter_config: { "envoy.filters.http.fault": {} } })],
    },
    { virtualInbound: ["fault"], "0.0.0.0_80": ["fault", "cors"] },
  ],
])("filters of a sidecar where %s", (_where, told, expected) => {
  expect(filtersOf(told)).toMatchObject(expected);
});

it("gateways have all filters", () => {
  expect(filtersOf({ ...performance, type: "router" })).toEqual({ "0.0.0.0_8090": [...filters] });
});

/** How the statistics of a proxy with the profile are flushed where its bootstrap is patched. */
function flushOf(patch: MessageInitShape<typeof BootstrapSchema>, flushesWhenAsked = true): Bootstrap["statsFlush"] {
  const start = { config: {}, ...(flushesWhenAsked && { flushesWhenAsked: true as const }) };
  const { any } = bootstrapPart(start, [create(BootstrapSchema, patch)]);
  return anyUnpack(fromBinary(AnySchema, any), BootstrapSchema)?.statsFlush ?? { case: undefined };
}

it("statistics are put together when they are asked for, unless somebody is sent them", () => {
  expect(flushOf({})).toEqual({ case: "statsFlushOnAdmin", value: true });
  expect(flushOf({ statsSinks: [{ name: "statsd" }] })).toEqual({ case: undefined });
  expect(flushOf({ statsFlushInterval: { seconds: 1n } })).toEqual({ case: undefined });
  expect(flushOf({}, false)).toEqual({ case: undefined });
});

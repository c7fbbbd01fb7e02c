import fc from "fast-check";
import type { NodeInfo } from "../proxy-class.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import type { MeshInput } from "#model/mesh.ts";
import { complete, type ObjectInput } from "#model/testing/objects.ts";
import { emptyMesh, type TestMesh } from "./mesh.ts";

/** An edit of a mesh: an object put or taken away, or other settings. */
export type Edit =
  | { readonly kind: "object"; readonly object: ObjectInput; readonly cluster: string; readonly remove: boolean }
  | { readonly kind: "mesh"; readonly config: MeshInput }
  | { readonly kind: "asks"; readonly names: readonly string[]; readonly tooMany: boolean };

/** The workload of each proxy. */
const workload = "w";

/** Few names, so that objects meet. */
const namespace = fc.constantFrom("shop", "bank", "istio-system");
const name = fc.constantFrom("a", "b", "c");
const cluster = fc.constantFrom("east", "west");
const label = fc.constantFrom("x", "y");
const created = fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z");
const exportTo = fc.constantFrom(undefined, ["*"], ["."], ["shop"], ["shop", "bank"], [".", "bank"], ["~"]);
const host = fc.constantFrom(
  "a",
  "b",
  "a.shop.svc.cluster.local",
  "b.bank.svc.cluster.local",
  "*.shop.svc.cluster.local",
  "*.cluster.local",
  "api.example.com",
  "*.example.com",
);
const fullHost = fc.constantFrom("a.shop.svc.cluster.local", "b.bank.svc.cluster.local", "api.example.com");

function metadata(labels: fc.Arbitrary<Record<string, string>> = fc.constant({})) {
  return fc.record({ name, namespace, creationTimestamp: created, labels });
}

const port = fc.constantFrom(
  { name: "http", port: 80 },
  { name: "http-alt", port: 8080, targetPort: 80 },
  { name: "grpc", port: 7070 },
  { name: "tcp", port: 5432, targetPort: "data" },
  { name: "any", port: 9999 },
  { name: "https", port: 443 },
  { name: "mysql", port: 3306 },
  { name: "udp-dns", port: 53, protocol: "UDP" },
  { name: "wss", port: 8443, appProtocol: "kubernetes.io/wss" },
);

/** Of every type; types mostly repeat the first one, so that services often meet what is made for them. */
const service = fc.record({
  kind: fc.constant("Service"),
  metadata: metadata(),
  spec: fc.record({
    type: fc.constantFrom("ClusterIP", "ClusterIP", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName"),
    clusterIP: fc.constantFrom("10.0.0.1", "10.0.0.2", "10.0.0.3", "None"),
    externalName: fc.constantFrom("api.example.com", "b.bank.svc.cluster.local", "a.shop.svc.cluster.local"),
    selector: fc.constantFrom(undefined, { app: "x" }, { app: "y" }),
    sessionAffinity: fc.constantFrom(undefined, "ClientIP"),
    trafficDistribution: fc.constantFrom(undefined, "PreferClose"),
    publishNotReadyAddresses: fc.boolean(),
    ports: fc.uniqueArray(port, { maxLength: 3, selector: (each) => each.port }),
  }),
});

const authority = createAuthority("properties");
const { certificate, key } = authority.issue("a.example.com");
const [certText, keyText, caText] = [certificate, key, authority.certificate].map((each) =>
  Buffer.from(each).toString("base64"),
);

/** Secrets of names that objects refer to: good ones, and some that hold something else. */
export const secret: fc.Arbitrary<ObjectInput> = fc.record({
  kind: fc.constant("Secret"),
  metadata: fc.record({
    name: fc.constantFrom("cert", "cert-cacert", "default", "a"),
    namespace: fc.constantFrom("shop", "istio-system"),
  }),
  type: fc.constantFrom("kubernetes.io/tls", "Opaque"),
  data: fc.constantFrom(
    { "tls.crt": certText, "tls.key": keyText },
    { "tls.crt": certText, "tls.key": keyText, "ca.crt": caText },
    { cert: certText, key: keyText, cacert: caText },
    { cacert: caText },
    { "ca.crt": caText },
    { "tls.crt": keyText, "tls.key": certText },
    { "tls.crt": "aGk=", "tls.key": "" },
    {},
  ),
});

const pod = fc.record({
  kind: fc.constant("Pod"),
  metadata: metadata(
    fc.record({ app: label, version: label, "security.istio.io/tlsMode": fc.constantFrom("istio", "disabled") }),
  ),
  spec: fc.record({ nodeName: fc.constantFrom("n1", "n2"), serviceAccountName: label }),
  status: fc.record({ podIP: fc.constantFrom("10.1.0.1", "10.1.0.2", "") }),
});

const slice = fc.record({
  kind: fc.constant("EndpointSlice"),
  addressType: fc.constant("IPv4"),
  metadata: metadata(name.map((each) => ({ "kubernetes.io/service-name": each }))),
  ports: fc.constantFrom(
    [{ name: "http", port: 80 }],
    [
      { name: "tcp", port: 5433 },
      { name: "any", port: 99 },
    ],
  ),
  endpoints: fc.array(
    fc.record({
      addresses: fc.constantFrom(["10.1.0.1"], ["10.1.0.2"], ["10.1.0.3"]),
      conditions: fc.record({ ready: fc.boolean(), terminating: fc.boolean() }),
      nodeName: fc.constantFrom("n1", "n2"),
      targetRef: name.map((each) => ({ kind: "Pod", name: each })),
    }),
    { maxLength: 2 },
  ),
});

const node = fc.record({
  kind: fc.constant("Node"),
  metadata: fc.record({
    name: fc.constantFrom("n1", "n2"),
    labels: fc.constantFrom({}, { "topology.kubernetes.io/region": "eu", "topology.kubernetes.io/zone": "eu-a" }),
  }),
});

const trafficPolicy = fc.constantFrom(
  {},
  { connectionPool: { tcp: { maxConnections: 7, idleTimeout: "30s" } } },
  { outlierDetection: { consecutive5xxErrors: 3 } },
  {
    outlierDetection: { consecutive5xxErrors: 3, minHealthPercent: 20 },
    loadBalancer: { localityLbSetting: { failoverPriority: ["app", "version=x"] } },
  },
  { loadBalancer: { simple: "PASSTHROUGH" } },
  { loadBalancer: { consistentHash: { useSourceIp: true } } },
  { portLevelSettings: [{ port: { number: 80 }, loadBalancer: { simple: "RANDOM" } }] },
);

const destinationRule = fc.record({
  kind: fc.constant("DestinationRule"),
  metadata: metadata(),
  spec: fc.record({
    host,
    exportTo,
    workloadSelector: fc.constantFrom(undefined, undefined, {}, { matchLabels: { app: "x" } }),
    trafficPolicy,
    subsets: fc.uniqueArray(
      fc.record({ name: fc.constantFrom("s1", "s2"), labels: label.map((version) => ({ version })) }),
      { maxLength: 2, selector: (each) => each.name },
    ),
  }),
});

const virtualService = fc.record({
  kind: fc.constant("VirtualService"),
  metadata: metadata(),
  spec: fc.record({
    hosts: fc.uniqueArray(host, { minLength: 1, maxLength: 2 }),
    exportTo,
    gateways: fc.constantFrom(undefined, ["mesh"], ["shop/a"], ["a", "mesh"]),
    http: fc.array(
      fc.record({
        match: fc.constantFrom(undefined, [{ sourceLabels: { app: "x" } }], [{ sourceNamespace: "bank" }]),
        timeout: fc.constantFrom("1s", "2s"),
        route: fc
          .tuple(fullHost, fc.constantFrom("", "s1"))
          .map(([to, subset]) => [{ destination: { host: to, ...(subset !== "" && { subset }) } }]),
      }),
      { minLength: 1, maxLength: 2 },
    ),
  }),
});

const serviceEntry = fc.record({
  kind: fc.constant("ServiceEntry"),
  metadata: metadata(),
  spec: fc.record({
    hosts: fc.constantFrom(["api.example.com"], ["*.example.com"], ["api.example.com", "a.shop.svc.cluster.local"]),
    addresses: fc.constantFrom(undefined, ["10.9.0.1"], ["10.9.0.0/16"]),
    exportTo,
    ports: fc.constantFrom(
      [{ number: 80, name: "http", protocol: "HTTP" }],
      [{ number: 443, name: "tls", protocol: "TLS" }],
      [{ number: 5432, name: "tcp", protocol: "TCP" }],
    ),
    resolution: fc.constantFrom("NONE", "STATIC", "DNS", "DNS_ROUND_ROBIN"),
    endpoints: fc.constantFrom(undefined, [{ address: "10.8.0.1" }], [{ address: "backend.example.org" }]),
  }),
});

const sidecar = fc.record({
  kind: fc.constant("Sidecar"),
  metadata: metadata(),
  spec: fc.record({
    workloadSelector: fc.constantFrom(undefined, { labels: { app: "x" } }),
    egress: fc.constantFrom(
      undefined,
      [{ hosts: ["./*"] }],
      [{ hosts: ["shop/*", "*/api.example.com"] }],
      [{ hosts: ["bank/b.bank.svc.cluster.local"] }],
      [{ hosts: ["~/*"] }],
      [{ hosts: ["*/*", "~bank/*", "~./a.shop.svc.cluster.local"] }],
      [{ port: { number: 80, protocol: "HTTP" }, hosts: ["shop/*"] }, { hosts: ["*/*"] }],
      [
        { port: { number: 5432, protocol: "TCP" }, bind: "10.99.0.1", hosts: ["./*"] },
        { port: { number: 443, protocol: "TLS" }, bind: "0.0.0.0", hosts: ["*/*"] },
        { port: { number: 9999, protocol: "HTTP" }, captureMode: "NONE", hosts: ["*/*"] },
        { port: { number: 80 }, hosts: ["bank/*"] },
      ],
      [{ bind: "127.0.0.1", captureMode: "NONE", hosts: ["*/*"] }],
    ),
    ingress: fc.constantFrom(
      undefined,
      undefined,
      [{ port: { number: 80, protocol: "HTTP" }, captureMode: "NONE", defaultEndpoint: "127.0.0.1:8080" }],
      [
        { port: { number: 80, protocol: "GRPC" }, defaultEndpoint: "0.0.0.0:8080" },
        { port: { number: 5433, protocol: "TCP" }, bind: "10.0.0.9", defaultEndpoint: "unix:///app.sock" },
        { port: { number: 99 }, captureMode: "NONE" },
      ],
    ),
    outboundTrafficPolicy: fc.constantFrom(undefined, { mode: "REGISTRY_ONLY" }),
  }),
});

const gateway = fc.record({
  kind: fc.constant("Gateway"),
  metadata: metadata(),
  spec: fc.record({
    selector: fc.constantFrom({ app: "edge" }, { app: "x" }),
    servers: fc.constantFrom(
      [{ port: { number: 80, name: "http", protocol: "HTTP" }, hosts: ["*"] }],
      [{ port: { number: 8080, name: "http", protocol: "HTTP" }, hosts: ["api.example.com", "shop/*"] }],
    ),
  }),
});

const selector = fc.constantFrom(undefined, undefined, { matchLabels: { app: "x" } });
const mutualTls = fc.constantFrom("UNSET", "DISABLE", "PERMISSIVE", "STRICT").map((mode) => ({ mode }));

const peerAuthentication = fc.record({
  kind: fc.constant("PeerAuthentication"),
  metadata: metadata(),
  spec: fc.record({
    selector,
    mtls: fc.option(mutualTls, { nil: undefined }),
    portLevelMtls: fc.option(fc.dictionary(fc.constantFrom("80", "5433"), mutualTls), { nil: undefined }),
  }),
});

const authorizationPolicy = fc.record({
  kind: fc.constant("AuthorizationPolicy"),
  metadata: metadata(),
  spec: fc.record({
    selector,
    action: fc.constantFrom("ALLOW", "DENY", "AUDIT"),
    rules: fc.constantFrom(
      undefined,
      [{}],
      [{ from: [{ source: { principals: ["cluster.local/ns/shop/sa/x"] } }] }],
      [{ from: [{ source: { notNamespaces: ["bank"] } }], to: [{ operation: { ports: ["80"] } }] }],
      [{ to: [{ operation: { methods: ["GET"], paths: ["/a/*"] } }] }],
      [{ when: [{ key: "request.auth.claims[group]", values: ["staff"] }] }],
    ),
  }),
});

const requestAuthentication = fc.record({
  kind: fc.constant("RequestAuthentication"),
  metadata: metadata(),
  spec: fc.record({
    selector,
    jwtRules: fc.constantFrom(
      [{ issuer: "one", jwks: '{"keys":[]}' }],
      [{ issuer: "two", jwksUri: "https://example.com/keys", forwardOriginalToken: true }],
    ),
  }),
});

const rarely = fc.constantFrom(false, false, false, true);
const clusterObject: fc.Arbitrary<ObjectInput> = fc.oneof({ weight: 3, arbitrary: service }, pod, slice, node);

/** Of the workload that proxies of the small mesh are. */
const egressScope: fc.Arbitrary<ObjectInput> = fc.record({
  kind: fc.constant("EgressScope"),
  metadata: fc.record({ name: fc.constant(workload), namespace, creationTimestamp: created }),
  spec: fc.record({
    discovery: fc.constantFrom(undefined, "OnDemand", "All"),
    hosts: fc.uniqueArray(fullHost, { maxLength: 2 }).map((hosts) => hosts.map((each) => ({ host: each }))),
  }),
});

const meshObject: fc.Arbitrary<ObjectInput> = fc.oneof(
  destinationRule,
  virtualService,
  serviceEntry,
  sidecar,
  gateway,
  egressScope,
  peerAuthentication,
  authorizationPolicy,
  requestAuthentication,
);

const settings: fc.Arbitrary<MeshInput> = fc.constantFrom<MeshInput[]>(
  {},
  { discovery: "OnDemand" },
  { discovery: "OnDemand", outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } },
  { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } },
  { defaultServiceExportTo: ["."] },
  { defaultVirtualServiceExportTo: ["."], defaultDestinationRuleExportTo: ["."] },
  { rootNamespace: "bank", h2UpgradePolicy: "UPGRADE" },
  { inboundTrafficPolicy: { mode: "LOCALHOST" }, pathNormalization: { normalization: "NONE" } },
  { inboundClusterStatName: "%SERVICE%", outboundClusterStatName: "%SERVICE_FQDN%|%SUBSET_NAME%" },
  { localityLbSetting: { enabled: false }, accessLogFile: "/dev/null" },
);

/** What proxies of the workload in the namespace shop ask for. */
const asks = fc.record({
  kind: fc.constant("asks"),
  names: fc.uniqueArray(
    fc.constantFrom(
      "80/a",
      "80/a.shop:80",
      "7070/b.bank",
      "80/api.example.com",
      "80/x.example.com",
      "8080/10.0.0.1",
      "80/*",
    ),
  ),
  tooMany: rarely,
});

/** Edits of a small mesh in which objects often concern one another. */
export const edit: fc.Arbitrary<Edit> = fc.oneof(
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("object"), object: clusterObject, cluster, remove: rarely }) },
  { weight: 1, arbitrary: fc.record({ kind: fc.constant("mesh"), config: settings }) },
  { weight: 1, arbitrary: asks },
  {
    weight: 8,
    arbitrary: fc.record({
      kind: fc.constant("object"),
      object: meshObject,
      cluster: fc.constant(""),
      remove: rarely,
    }),
  },
);

/** A proxy of the small mesh. */
function proxyNode(type: string, namespace: string, cluster: string, labels: Record<string, string>): NodeInfo {
  return {
    id: `${type}~10.0.0.9~p.${namespace}~${namespace}.svc.cluster.local`,
    metadata: { NAMESPACE: namespace, CLUSTER_ID: cluster, LABELS: labels, WORKLOAD_NAME: workload },
    locality: { region: "eu", zone: "eu-a", subzone: "" },
  };
}

/** The same proxy, whose agent serves it certificates of the mesh. */
export function identified(node: NodeInfo): NodeInfo {
  return { ...node, metadata: { ...node.metadata, WEFT_SDS: "true" } };
}

/** Proxies of the small mesh, with certificates and without; one in a namespace without any object. */
export const nodes: readonly NodeInfo[] = [
  proxyNode("sidecar", "shop", "east", { app: "x", version: "x" }),
  proxyNode("sidecar", "shop", "west", { app: "y" }),
  identified(proxyNode("sidecar", "shop", "east", { app: "x", version: "x" })),
  proxyNode("sidecar", "bank", "east", { app: "y" }),
  proxyNode("sidecar", "other", "east", {}),
  proxyNode("router", "istio-system", "east", { app: "edge" }),
];

/** Makes an edit. */
export function apply({ model }: TestMesh, change: Edit): void {
  if (change.kind === "mesh") {
    model.inputs.setMesh(change.config);
    return;
  }
  if (change.kind === "asks") {
    const { names, tooMany } = change;
    model.inputs.setAsks(`shop/${workload}`, names.length === 0 ? undefined : { names, tooMany });
    return;
  }
  const { object, cluster: home, remove } = change;
  const { name: called, namespace: owner = "" } = object.metadata;
  if (remove) model.inputs.remove(object.kind, { namespace: owner, name: called }, home);
  else model.inputs.put(complete(object), home);
}

/** The small mesh before any edit. */
export function withClusters(): TestMesh {
  const mesh = emptyMesh();
  mesh.model.inputs.putCluster("east", "main");
  mesh.model.inputs.putCluster("west", "main");
  return mesh;
}

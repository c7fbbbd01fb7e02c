import { describe, expect, it } from "vitest";
import { refText } from "#api/meta.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { NodeInfo } from "./proxy-class.ts";
import { meshOf } from "./testing/mesh.ts";

const text = `
proxy:
  id: sidecar~10.0.0.5~client-1.shop~shop.svc.cluster.local
  metadata: { NAMESPACE: shop, CLUSTER_ID: east, LABELS: { app: client } }
clusters: [{ name: east, network: main }]
---
cluster: east
objects:
  - { kind: Service, metadata: { name: a, namespace: shop }, spec: { clusterIP: 10.0.0.1, ports: [{ name: http, port: 80 }, { name: tcp, port: 90 }] } }
  - { kind: Service, metadata: { name: client, namespace: shop }, spec: { clusterIP: 10.0.0.2, selector: { app: client }, ports: [{ name: http, port: 80 }] } }
---
objects:
  - { kind: DestinationRule, metadata: { name: a, namespace: shop }, spec: { host: a, subsets: [{ name: v1 }] } }
  - { kind: VirtualService, metadata: { name: a, namespace: shop }, spec: { hosts: [a], http: [{ route: [{ destination: { host: a } }] }] } }
  - { kind: Sidecar, metadata: { name: s, namespace: shop }, spec: { egress: [{ hosts: ["./*"] }] } }
  - { kind: Gateway, metadata: { name: edge, namespace: shop }, spec: { selector: { app: edge }, servers: [{ port: { number: 8080, name: http, protocol: HTTP }, hosts: ["*"] }] } }
  - { kind: VirtualService, metadata: { name: edge, namespace: shop }, spec: { hosts: [x.com], gateways: [edge], http: [{ route: [{ destination: { host: a } }] }] } }
`;

const edge: NodeInfo = {
  id: "router~10.0.0.6~edge-1.shop~shop.svc.cluster.local",
  metadata: { NAMESPACE: "shop", CLUSTER_ID: "east", LABELS: { app: "edge" } },
  locality: { region: "", zone: "", subzone: "" },
};

describe("the translator", () => {
  const { translator, node } = meshOf(text);
  const made = (of: NodeInfo, type: keyof typeof typeUrls, name: string) =>
    translator.origins(of, typeUrls[type], name).map(refText);

  it.each([
    ["cluster", "outbound|80|v1|a.shop.svc.cluster.local", ["Service shop/a (east)", "DestinationRule shop/a"]],
    ["cluster", "inbound|80||", ["Service shop/client (east)", "Sidecar shop/s"]],
    ["cluster", "BlackHoleCluster", []],
    [
      "endpoints",
      "outbound|80||a.shop.svc.cluster.local",
      ["Service shop/a (east)", "DestinationRule shop/a", "Sidecar shop/s"],
    ],
    ["listener", "10.0.0.1_90", ["Service shop/a (east)", "DestinationRule shop/a", "Sidecar shop/s"]],
    ["listener", "virtualInbound", ["Service shop/client (east)"]],
    ["listener", "virtualOutbound", ["Sidecar shop/s"]],
    [
      "route",
      "80",
      [
        "VirtualService shop/a",
        "Service shop/a (east)",
        "DestinationRule shop/a",
        "Sidecar shop/s",
        "Service shop/client (east)",
      ],
    ],
    ["route", "nonsense", []],
    ["cluster", "outbound|80||unknown.shop.svc.cluster.local", []],
  ] as const)("tells which objects made %s %s", (type, name, expected) => {
    expect(made(node, type, name)).toEqual(expected);
  });

  it("tells which objects made what a gateway gets", () => {
    expect(made(edge, "listener", "0.0.0.0_8080")).toEqual(["Gateway shop/edge"]);
    expect(made(edge, "route", "http.8080")).toEqual(["Gateway shop/edge", "VirtualService shop/edge"]);
  });

  it.each([
    [
      "DestinationRule",
      "{ host: a, trafficPolicy: { tls: { mode: SIMPLE }, portLevelSettings: [{ port: { number: 80 }, tls: { mode: MUTUAL } }] } }",
      ["spec.trafficPolicy.tls", "spec.trafficPolicy.portLevelSettings[0].tls"],
    ],
    ["DestinationRule", "{ host: a, trafficPolicy: { tls: { mode: DISABLE } } }", []],
    [
      "DestinationRule",
      "{ host: a, subsets: [{ name: b, trafficPolicy: { tunnel: {}, proxyProtocol: {} } }] }",
      ["spec.subsets[0].trafficPolicy.tunnel", "spec.subsets[0].trafficPolicy.proxyProtocol"],
    ],
    ["DestinationRule", "{ host: a, workloadSelector: { matchLabels: { a: b } } }", ["spec.workloadSelector"]],
    [
      "Gateway",
      "{ servers: [{ port: { number: 80, protocol: HTTP }, hosts: [] }, { port: { number: 443, protocol: HTTPS }, tls: { mode: SIMPLE }, hosts: [] }] }",
      ["spec.servers[1]"],
    ],
    [
      "Sidecar",
      `{ ingress: [{ port: { number: 1 } }], egress: [{ port: { number: 80 }, hosts: ["./*"] }] }`,
      ["spec.ingress", "spec.egress[0]"],
    ],
    ["ServiceEntry", "{ hosts: [x.y], ports: [], resolution: DYNAMIC_DNS }", ["spec.resolution"]],
    ["VirtualService", "{ hosts: [x.y], tcp: [{ route: [{ destination: { host: a } }] }] }", []],
  ])("says what it does not carry out of a %s %s", (kind, spec, fields) => {
    const mesh = meshOf(`${text}
---
objects: [{ kind: ${kind}, metadata: { name: x, namespace: shop }, spec: ${spec} }]`);
    const found = mesh.translator.findings({ kind, namespace: "shop", name: "x" });
    expect(found.filter(({ code }) => code === "NotImplemented").map(({ field }) => field)).toEqual(fields);
  });
});

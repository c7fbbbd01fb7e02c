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
    [
      "virtualHost",
      "80/a.shop.svc.cluster.local:80",
      ["VirtualService shop/a", "Service shop/a (east)", "DestinationRule shop/a", "Sidecar shop/s"],
    ],
    ["virtualHost", "80/client.shop.svc.cluster.local:80", ["Service shop/client (east)", "Sidecar shop/s"]],
    ["virtualHost", "80/allow_any", ["Sidecar shop/s"]],
    ["virtualHost", "80/nonsense", []],
    ["cluster", "outbound|80||unknown.shop.svc.cluster.local", []],
  ] as const)("tells which objects made %s %s", (type, name, expected) => {
    expect(made(node, type, name)).toEqual(expected);
  });

  it("tells which objects made what a gateway gets", () => {
    expect(made(edge, "listener", "0.0.0.0_8080")).toEqual(["Gateway shop/edge"]);
    expect(made(edge, "route", "http.8080")).toEqual(["Gateway shop/edge", "VirtualService shop/edge"]);
    expect(made(edge, "virtualHost", "http.8080/x.com:8080")).toEqual([
      "Gateway shop/edge",
      "VirtualService shop/edge",
    ]);
  });

  it.each([
    [
      "DestinationRule",
      "{ host: a, trafficPolicy: { tls: { mode: SIMPLE, credentialName: 'builtin://x' }, portLevelSettings: [{ port: { number: 80 }, tls: { mode: MUTUAL } }] } }",
      ["spec.trafficPolicy.tls.credentialName"],
    ],
    ["DestinationRule", "{ host: a, trafficPolicy: { tls: { mode: DISABLE } } }", []],
    [
      "Gateway",
      `{ servers: [
        { port: { number: 80, protocol: HTTP }, hosts: [] },
        { port: { number: 443, protocol: HTTPS }, hosts: [], tls: { mode: SIMPLE, serverCertificate: /a, privateKey: /b } },
        { port: { number: 444, protocol: HTTPS }, hosts: [], tls: { mode: SIMPLE, credentialName: 'builtin://x' } },
        { port: { number: 444, protocol: HTTPS }, hosts: [b], tls: { mode: MUTUAL, credentialName: 'builtin://' } },
        { port: { number: 445, protocol: TLS }, hosts: [], tls: { mode: AUTO_PASSTHROUGH } },
        { port: { number: 446, protocol: TLS }, hosts: [], tls: {} },
        { port: { number: 447, protocol: UDP }, hosts: [] },
        { port: { number: 0, protocol: HTTP }, bind: "unix:///a", hosts: [] } ] }`,
      ["spec.servers[2].tls", "spec.servers[6].port.protocol"],
    ],
    [
      "Sidecar",
      `{ ingress: [
        { port: { number: 1 } },
        { port: { number: 2 }, captureMode: NONE, defaultEndpoint: "0.0.0.0:80" },
        { port: { number: 3, protocol: TLS }, tls: { mode: SIMPLE } }],
        egress: [
          { port: { number: 80 }, hosts: ["./*"] },
          { port: { number: 0, protocol: HTTP }, bind: "unix:///a", hosts: ["./*"] },
          { port: { number: 81, protocol: HTTP_PROXY }, hosts: ["./*"] }] }`,
      ["spec.ingress[2].tls"],
    ],
    ["VirtualService", "{ hosts: [x.y], tcp: [{ route: [{ destination: { host: a } }] }] }", []],
  ])("says what it does not carry out of a %s %s", (kind, spec, fields) => {
    const mesh = meshOf(`${text}
---
objects: [{ kind: ${kind}, metadata: { name: x, namespace: shop }, spec: ${spec} }]`);
    const found = mesh.translator.findings({ kind, namespace: "shop", name: "x" });
    expect(found.filter(({ code }) => code === "NotImplemented").map(({ field }) => field)).toEqual(fields);
  });

  it("says which servers of Gateways are left out, and for which others", () => {
    const mesh = meshOf(`${text}
---
objects:
  - kind: Gateway
    metadata: { name: x, namespace: shop, creationTimestamp: "2026-02-01T00:00:00Z" }
    spec:
      selector: { app: edge, more: labels }
      servers:
        - { port: { number: 8080, name: http, protocol: HTTP2 }, hosts: ["*"] }
        - { port: { number: 8080, name: tcp, protocol: TCP }, hosts: ["*"] }
        - { port: { number: 8080, name: own, protocol: TCP }, bind: 127.0.0.1, hosts: ["*"] }
        - { port: { number: 443, name: one, protocol: TLS }, hosts: [a.com], tls: {} }
        - { port: { number: 443, name: two, protocol: TLS }, hosts: ["shop/A.com", b.com], tls: {} }
        - { port: { number: 443, name: more, protocol: TLS }, hosts: [b.com], tls: {} }
  - { kind: Gateway, metadata: { name: z, namespace: shop }, spec: { selector: { app: else }, servers: [{ port: { number: 443, protocol: TCP }, hosts: ["*"] }] } }`);
    const found = mesh.translator.findings({ kind: "Gateway", namespace: "shop", name: "x" });
    const conflicts = found.filter(({ code }) => code === "ConflictingServers");
    expect(conflicts.map(({ field, message }) => [field, message])).toEqual([
      [
        "spec.servers[1]",
        "Port 8080 is taken by server 0 of Gateway shop/edge, which speaks HTTP; this server is left out. Give it another port.",
      ],
      [
        "spec.servers[4]",
        "Port 443 has a.com from server 3 of Gateway shop/x already; this server is left out. Take the hosts out of one of them.",
      ],
    ]);
  });
});

import { describe, expect, it } from "vitest";
import { modelOf } from "../testing/objects.ts";

const shop = `
cluster: east
kind: Service
metadata: { name: reviews, namespace: shop }
spec: { clusterIP: 10.0.0.1, selector: { app: reviews }, ports: [{ name: http, port: 80 }] }
---
cluster: east
kind: Pod
metadata: { name: p, namespace: shop, labels: { app: reviews, version: v1 } }
status: { podIP: 10.1.0.1 }
---
cluster: east
kind: EndpointSlice
addressType: IPv4
metadata: { name: reviews-x, namespace: shop, labels: { kubernetes.io/service-name: reviews } }
ports: [{ name: http, port: 80 }]
endpoints: [{ addresses: [10.1.0.1], targetRef: { kind: Pod, name: p } }]
---
cluster: east
kind: Service
metadata: { name: outside, namespace: shop }
spec: { type: ExternalName, externalName: www.example.com, ports: [{ name: http, port: 80 }] }
---
cluster: east
kind: Service
metadata: { name: critics, namespace: shop }
spec: { type: ExternalName, externalName: reviews.shop.svc.cluster.local, ports: [{ name: http, port: 80 }] }
---
kind: DestinationRule
metadata: { name: base, namespace: shop, creationTimestamp: "2025-01-01T00:00:00Z" }
spec: { host: reviews, subsets: [{ name: v1, labels: { version: v1 } }] }
---
kind: Gateway
metadata: { name: edge, namespace: shop }
spec: { selector: { app: reviews }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["shop/*.example.com"] }] }
`;

/** Findings of an object named \`x\` in namespace shop: code, field and severity. */
function judge(kind: string, spec: string, more = ""): readonly (readonly [string, string | undefined, string])[] {
  const model = modelOf(`${shop}${more}
---
kind: ${kind}
metadata: { name: x, namespace: shop }
spec: ${spec}`);
  return model.findings
    .get({ kind, namespace: "shop", name: "x" })
    .map((each) => [each.code, each.field, each.severity]);
}

function routeTo(destination: string): string {
  return `{ hosts: [reviews], http: [{ route: [{ destination: { host: reviews } }, { destination: ${destination} }] }] }`;
}

describe("findings", () => {
  it.each([
    ["UnknownHost", "VirtualService", routeTo("{ host: nobody }"), "spec.http[0].route[1].destination.host"],
    [
      "UnknownSubset",
      "VirtualService",
      routeTo("{ host: reviews, subset: v9 }"),
      "spec.http[0].route[1].destination.subset",
    ],
    [
      "UnknownPort",
      "VirtualService",
      routeTo("{ host: reviews, port: { number: 81 } }"),
      "spec.http[0].route[1].destination.port.number",
    ],
    [
      "UnknownHost",
      "VirtualService",
      "{ hosts: [reviews], http: [{ mirror: { host: nobody } }] }",
      "spec.http[0].mirror.host",
    ],
    [
      "UnknownHost",
      "VirtualService",
      "{ hosts: [reviews], tcp: [{ route: [{ destination: { host: nobody } }] }] }",
      "spec.tcp[0].route[0].destination.host",
    ],
    [
      "UnknownHost",
      "VirtualService",
      "{ hosts: [reviews], http: [{ route: [{ destination: { host: critics } }], mirror: { host: outside } }] }",
      "spec.http[0].mirror.host",
    ],
    ["UnknownGateway", "VirtualService", "{ hosts: [a.example.com], gateways: [edge, other] }", "spec.gateways[1]"],
    [
      "HostNotInGateway",
      "VirtualService",
      "{ hosts: [a.example.com, a.example.org], gateways: [edge] }",
      "spec.hosts[1]",
    ],
    [
      "HostNotInGateway",
      "VirtualService",
      "{ hosts: [reviews], gateways: [mesh, edge], http: [{ route: [{ destination: { host: reviews } }] }] }",
      "spec.gateways[1]",
    ],
    ["UnknownHost", "DestinationRule", "{ host: nobody }", "spec.host"],
    [
      "SubsetWithoutEndpoints",
      "DestinationRule",
      "{ host: reviews, subsets: [{ name: a, labels: { version: v1 } }, { name: b, labels: { version: v9 } }] }",
      "spec.subsets[1]",
    ],
    ["GatewayWithoutWorkload", "Gateway", "{ selector: { app: nobody }, servers: [] }", "spec.selector"],
    [
      "NoWorkload",
      "DestinationRule",
      "{ host: reviews, workloadSelector: { matchLabels: { app: nobody } } }",
      "spec.workloadSelector.matchLabels",
    ],
    ["NoWorkload", "Sidecar", "{ workloadSelector: { labels: { app: nobody } } }", "spec.workloadSelector.labels"],
    [
      "UnknownHost",
      "Sidecar",
      `{ egress: [{ hosts: ["./*", "./nobody.shop.svc.cluster.local"] }] }`,
      "spec.egress[0].hosts[1]",
    ],
    [
      "NoWorkload",
      "ServiceEntry",
      "{ hosts: [a.b], ports: [], workloadSelector: { labels: { app: nobody } } }",
      "spec.workloadSelector.labels",
    ],
    [
      "AddressNotIP",
      "ServiceEntry",
      "{ hosts: [a.b], ports: [], resolution: STATIC, endpoints: [{ address: 10.0.0.1 }, { address: c.d }] }",
      "spec.endpoints[1].address",
    ],
    [
      "TooManyEndpoints",
      "ServiceEntry",
      "{ hosts: [a.b], ports: [], resolution: DNS_ROUND_ROBIN, endpoints: [{ address: a }, { address: b }] }",
      "spec.endpoints",
    ],
  ])("%s of a %s %s at %s", (code, kind, spec, field) => {
    expect(judge(kind, spec).map(([each, at]) => [each, at])).toEqual([[code, field]]);
  });

  it.each([
    ["VirtualService", routeTo("{ host: reviews, subset: v1, port: { number: 80 } }")],
    [
      "VirtualService",
      "{ hosts: [a.example.com], gateways: [edge, mesh], http: [{ route: [{ destination: { host: reviews } }] }] }",
    ],
    ["DestinationRule", "{ host: reviews, subsets: [{ name: v1, labels: { version: v1 } }] }"],
    ["DestinationRule", `{ host: "*.shop.svc.cluster.local" }`],
    ["Gateway", "{ selector: { app: reviews }, servers: [] }"],
    ["Sidecar", `{ egress: [{ hosts: ["./*", "*/reviews.shop.svc.cluster.local", "~/*"] }] }`],
    ["ServiceEntry", "{ hosts: [a.b], ports: [], resolution: STATIC, endpoints: [{ address: 10.0.0.1 }] }"],
  ])("nothing is wrong with a %s %s", (kind, spec) => {
    expect(judge(kind, spec)).toEqual([]);
  });

  it.each([
    ["shop", "./*.example.com", []],
    ["shop", "shop/*.example.com", []],
    ["shop", "*/*.example.com", []],
    ["shop", "bank/*.example.com", ["HostNotInGateway"]],
    ["bank", "./*.example.com", ["HostNotInGateway"]],
    ["bank", "~/*.example.com", ["HostNotInGateway"]],
  ])("a VirtualService of namespace %s and a server of Gateway shop/g for %s", (namespace, host, codes) => {
    const model = modelOf(`${shop}
---
kind: Gateway
metadata: { name: g, namespace: shop }
spec: { selector: { app: reviews }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: ["${host}"] }] }
---
kind: VirtualService
metadata: { name: x, namespace: ${namespace} }
spec: { hosts: [a.example.com], gateways: [shop/g] }`);
    const found = model.findings.get({ kind: "VirtualService", namespace, name: "x" });
    expect(found.map(({ code }) => code)).toEqual(codes);
  });

  it("tells the younger of two rules for one host that it is not followed", () => {
    const older = `
---
kind: VirtualService
metadata: { name: first, namespace: shop, creationTimestamp: "2025-01-01T00:00:00Z" }
spec: { hosts: [reviews.shop.svc.cluster.local] }`;
    expect(judge("VirtualService", "{ hosts: [reviews] }", older)).toEqual([
      ["ConflictingHosts", "spec.hosts[0]", "warning"],
    ]);
    expect(judge("VirtualService", "{ hosts: [reviews], gateways: [edge] }", older).map(([code]) => code)).toEqual([
      "HostNotInGateway",
    ]);
  });

  it("tells the younger of two default Sidecars", () => {
    const older = `
---
kind: Sidecar
metadata: { name: first, namespace: shop, creationTimestamp: "2025-01-01T00:00:00Z" }
spec: {}`;
    expect(judge("Sidecar", "{}", older)).toEqual([["ConflictingSidecars", "spec.workloadSelector", "warning"]]);
  });

  it.each([
    ["OnDemand", '["./*", "*/*"]', "spec.egress[1].hosts[1]"],
    ["OnDemand", '["*/*", "~bank/*"]', undefined],
    ["OnDemand", '["*/*.shop.svc.cluster.local"]', undefined],
    ["All", '["*/*"]', undefined],
  ])("tells of a Sidecar of a namespace with discovery %s that declares %s", (mode, hosts, field) => {
    const label = `
---
kind: Namespace
metadata: { name: shop, labels: { mesh.weft.dev/discovery: ${mode} } }`;
    const told = judge("Sidecar", `{ egress: [{ hosts: ["shop/*"] }, { hosts: ${hosts} }] }`, label);
    expect(told).toEqual(field === undefined ? [] : [["DeclaresEverything", field, "warning"]]);
  });

  it("tells of hosts that an EgressScope declares in vain, and not of those that were learned", () => {
    const model = modelOf(`${shop}
---
kind: ServiceEntry
metadata: { name: wild, namespace: shop }
spec: { hosts: ["*.example.com"], ports: [], resolution: NONE }
---
kind: VirtualService
metadata: { name: old, namespace: shop }
spec: { hosts: [old] }
---
kind: EgressScope
metadata: { name: page, namespace: shop }
spec:
  hosts:
    - { host: reviews.shop.svc.cluster.local }
    - { host: old.shop.svc.cluster.local }
    - { host: a.b.example.com }
    - { host: "*.shop.svc.cluster.local" }
    - { host: reviews }
    - { host: "*.bank.svc.cluster.local" }
status: { learned: [{ host: gone.shop.svc.cluster.local }] }`);
    const found = model.findings.get({ kind: "EgressScope", namespace: "shop", name: "page" });
    expect(found.map(({ code, field }) => [code, field])).toEqual([
      ["UnknownHost", "spec.hosts[4].host"],
      ["UnknownHost", "spec.hosts[5].host"],
    ]);
    expect(model.held.unknown.get("shop/page")).toEqual([
      "reviews",
      "*.bank.svc.cluster.local",
      "gone.shop.svc.cluster.local",
    ]);
  });

  it("tells of a Sidecar that declares everything where the mesh or a workload is on demand", () => {
    const everything = '{ egress: [{ hosts: ["*/*"] }] }';
    const scope = `
---
kind: EgressScope
metadata: { name: page, namespace: shop }
spec: { discovery: OnDemand, hosts: [] }`;
    expect(judge("Sidecar", everything, scope).map(([code]) => code)).toEqual(["DeclaresEverything"]);
    const model = modelOf(`${shop}
---
kind: Sidecar
metadata: { name: x, namespace: istio-system }
spec: ${everything}`);
    const codes = (): readonly string[] =>
      model.findings.get({ kind: "Sidecar", namespace: "istio-system", name: "x" }).map(({ code }) => code);
    expect(codes()).toEqual([]);
    model.inputs.setMesh({ discovery: "OnDemand" });
    expect(codes()).toEqual(["DeclaresEverything"]);
  });

  it("goes when what was missing comes, and says what to do", () => {
    const model = modelOf(`${shop}
---
kind: VirtualService
metadata: { name: x, namespace: shop }
spec: ${routeTo("{ host: later }")}`);
    const id = { kind: "VirtualService", namespace: "shop", name: "x" };
    expect(model.findings.get(id)[0]?.message).toContain("later.shop.svc.cluster.local");
    model.inputs.put(
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: {
          name: "later",
          namespace: "shop",
          uid: "u",
          resourceVersion: "1",
          generation: 1,
          creationTimestamp: "2026-01-01T00:00:00Z",
        },
        spec: { ports: [{ port: 80 }] },
      },
      "east",
    );
    expect(model.findings.get(id)).toEqual([]);
    expect(model.findings.get({ ...id, name: "unknown" })).toEqual([]);
  });
});

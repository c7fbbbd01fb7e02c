import { describe, expect, it } from "vitest";
import { modelOf } from "./testing/objects.ts";

const shop = `
cluster: east
kind: Node
metadata: { name: n1, labels: { topology.kubernetes.io/region: eu, topology.kubernetes.io/zone: eu-a, topology.istio.io/subzone: r1 } }
---
cluster: east
kind: Service
metadata: { name: reviews, namespace: shop }
spec: { clusterIP: 10.0.0.1, selector: { app: reviews }, ports: [{ name: http, port: 80 }, { name: admin, port: 81 }] }
---
cluster: east
kind: Pod
metadata:
  name: reviews-1
  namespace: shop
  labels: { app: reviews, version: v1, pod-template-hash: abc }
  ownerReferences: [{ kind: ReplicaSet, name: reviews-abc, controller: true }]
spec: { nodeName: n1, serviceAccountName: robot }
status: { podIP: 10.1.0.1, conditions: [{ type: Ready, status: "True" }] }
---
cluster: east
kind: EndpointSlice
addressType: IPv4
metadata: { name: reviews-x, namespace: shop, labels: { kubernetes.io/service-name: reviews } }
ports: [{ name: http, port: 9080 }]
endpoints:
  - { addresses: [10.1.0.1], conditions: { ready: true }, nodeName: n1, targetRef: { kind: Pod, name: reviews-1 } }
  - { addresses: [10.1.0.2], conditions: { ready: false, terminating: false } }
  - { addresses: [10.1.0.4], conditions: { ready: false } }
  - { addresses: [10.1.0.5], targetRef: { kind: Pod, name: not-seen-yet } }
  - { addresses: [10.1.0.3], conditions: { ready: false, serving: true, terminating: true } }
---
cluster: west
kind: EndpointSlice
addressType: IPv4
metadata: { name: reviews-y, namespace: shop, labels: { kubernetes.io/service-name: reviews } }
ports: [{ name: http, port: 9080 }]
endpoints: [{ addresses: [10.2.0.1], zone: us-b }]
---
cluster: west
kind: EndpointSlice
addressType: IPv6
metadata: { name: reviews-z, namespace: shop, labels: { kubernetes.io/service-name: reviews } }
ports: [{ name: http, port: 9080 }]
endpoints: [{ addresses: ["fd00::1"] }]
---
kind: WorkloadEntry
metadata: { name: vm, namespace: shop }
spec: { address: 10.3.0.1, labels: { app: reviews }, ports: { http: 8080 }, locality: eu/eu-b, weight: 5 }
`;
const service = "shop/reviews.shop.svc.cluster.local";

describe("endpoints of a service's port", () => {
  const endpoints = modelOf(shop).endpoints.endpoints.get({ service, port: 80 });

  it("are those of all clusters and of workloads outside, but what terminates", () => {
    expect(endpoints.map(({ address, port, healthy, cluster }) => [address, port, healthy, cluster])).toEqual([
      ["10.1.0.1", 9080, true, "east"],
      ["10.1.0.2", 9080, false, "east"],
      ["10.2.0.1", 9080, true, "west"],
      ["10.3.0.1", 8080, true, ""],
    ]);
  });

  it("know their workload, place and labels", () => {
    expect(endpoints[0]).toMatchObject({
      region: "eu",
      zone: "eu-a",
      subzone: "r1",
      network: "main",
      workload: "reviews",
      serviceAccount: "robot",
      labels: {
        app: "reviews",
        version: "v1",
        "topology.kubernetes.io/zone": "eu-a",
        "topology.istio.io/cluster": "east",
      },
    });
    expect(endpoints[2]).toMatchObject({ zone: "us-b", workload: "" });
    expect(endpoints[3]).toMatchObject({ region: "eu", zone: "eu-b", weight: 5, workload: "vm" });
  });

  it("are none on a port that no slice has", () => {
    const { endpoints: queries } = modelOf(shop);
    expect(queries.endpoints.get({ service, port: 81 }).map(({ address }) => address)).toEqual(["10.3.0.1"]);
    expect(queries.endpoints.get({ service, port: 82 })).toEqual([]);
  });

  it("of WorkloadEntries that a Service selects have an address and the port that it means", () => {
    const model = modelOf(`
cluster: east
kind: Service
metadata: { name: a, namespace: shop }
spec: { clusterIP: 10.0.0.9, selector: { app: a }, ports: [{ name: http, port: 80, targetPort: web }, { name: admin, port: 81, targetPort: 8081 }] }
---
kind: WorkloadEntry
metadata: { name: vm, namespace: shop, labels: { app: a } }
spec: { address: 10.3.0.1, labels: { app: other }, ports: { web: 8080, admin: 9091 } }
---
kind: WorkloadEntry
metadata: { name: portless, namespace: shop }
spec: { address: 10.3.0.2, labels: { app: a } }
---
kind: WorkloadEntry
metadata: { name: socket, namespace: shop }
spec: { address: unix:///run/a.sock, labels: { app: a } }
---
kind: WorkloadEntry
metadata: { name: ill, namespace: shop, annotations: { proxy.istio.io/health-checks-enabled: "true" } }
spec: { address: 10.3.0.3, labels: { app: a }, ports: { web: 8080 } }
---
kind: WorkloadEntry
metadata: { name: well, namespace: shop, annotations: { proxy.istio.io/health-checks-enabled: "true" } }
spec: { address: 10.3.0.4, labels: { app: a }, ports: { web: 8080 } }
status: { conditions: [{ type: Healthy, status: "True" }] }`);
    const of = (port: number) =>
      model.endpoints.endpoints
        .get({ service: "shop/a.shop.svc.cluster.local", port })
        .map((each) => `${each.address}:${each.port}`)
        .toSorted();
    expect(of(80)).toEqual(["10.3.0.1:8080", "10.3.0.4:8080"]);
    expect(of(81)).toEqual(["10.3.0.1:9091", "10.3.0.2:8081", "10.3.0.4:8081"]);
  });

  it("have their place by labels of their own, before those of their nodes", () => {
    const model = modelOf(`${shop}
---
cluster: east
kind: Pod
metadata: { name: reviews-1, namespace: shop, labels: { istio-locality: us.us-a.rack1, topology.istio.io/network: other } }
spec: { nodeName: n1 }
status: { podIP: 10.1.0.1 }`);
    const [first] = model.endpoints.endpoints.get({ service, port: 80 });
    expect(first).toMatchObject({ region: "us", zone: "us-a", subzone: "rack1", network: "other" });
  });

  it("of a ServiceEntry are written, selected, or its own name", () => {
    const model = modelOf(`${shop}
---
kind: ServiceEntry
metadata: { name: written, namespace: shop }
spec: { hosts: [a.example.com], resolution: STATIC, ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8000 }], endpoints: [{ address: 10.4.0.1 }] }
---
kind: ServiceEntry
metadata: { name: selected, namespace: shop }
spec: { hosts: [b.example.com], resolution: STATIC, ports: [{ number: 80, name: http, protocol: HTTP }], workloadSelector: { labels: { app: reviews } } }
---
kind: ServiceEntry
metadata: { name: named, namespace: shop }
spec: { hosts: [c.example.com], resolution: DNS, ports: [{ number: 443, name: tls, protocol: TLS }] }`);
    const of = (host: string, port: number) =>
      model.endpoints.endpoints.get({ service: `shop/${host}`, port }).map((each) => [each.address, each.port]);
    expect(of("a.example.com", 80)).toEqual([["10.4.0.1", 8000]]);
    expect(of("b.example.com", 80)).toEqual([
      ["10.3.0.1", 8080],
      ["10.1.0.1", 80],
    ]);
    expect(of("c.example.com", 443)).toEqual([["c.example.com", 443]]);
  });
});

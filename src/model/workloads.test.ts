import { describe, expect, it } from "vitest";
import { modelOf } from "./testing/objects.ts";

const text = `
cluster: east
kind: Service
metadata: { name: web, namespace: shop, creationTimestamp: "2026-01-02T00:00:00Z" }
spec: { selector: { app: x }, ports: [{ name: http, port: 80, targetPort: web }, { name: tcp, port: 81, targetPort: 9000 }] }
---
cluster: east
kind: Service
metadata: { name: old, namespace: shop }
spec: { selector: { app: x, tier: front }, ports: [{ name: grpc, port: 7070, targetPort: 9000 }] }
---
cluster: west
kind: Service
metadata: { name: elsewhere, namespace: shop }
spec: { selector: { app: x }, ports: [{ name: http, port: 80 }] }
---
kind: ServiceEntry
metadata: { name: vm, namespace: shop }
spec: { hosts: [vm.example.com], ports: [{ number: 70, name: http, protocol: HTTP }], workloadSelector: { labels: { tier: front } } }
`;

describe("a workload", () => {
  const { workloads } = modelOf(text);
  const labels = { app: "x", tier: "front" };
  const services = workloads.servicesOf.get({ namespace: "shop", cluster: "east", labels });

  it("serves the services of its cluster that select it", () => {
    expect(services).toEqual([
      "shop/old.shop.svc.cluster.local",
      "shop/vm.example.com",
      "shop/web.shop.svc.cluster.local",
    ]);
    expect(workloads.servicesOf.get({ namespace: "bank", cluster: "east", labels })).toEqual([]);
    expect(workloads.servicesOf.get({ namespace: "shop", cluster: "west", labels })).toEqual([
      "shop/elsewhere.shop.svc.cluster.local",
      "shop/vm.example.com",
    ]);
  });

  it("has their target ports, the oldest service deciding the protocol", () => {
    expect(workloads.portNames(services)).toEqual(["web"]);
    const ports = workloads.inboundPorts.get({ services, namedPorts: { web: 8080 } });
    expect(ports.map(({ port, protocol, targets }) => [port, protocol, targets.map(({ name }) => name)])).toEqual([
      [70, "HTTP", ["vm.example.com"]],
      [8080, "HTTP", ["web"]],
      [9000, "GRPC", ["old", "web"]],
    ]);
  });

  it("has no port for a name that nothing tells", () => {
    const ports = workloads.inboundPorts.get({ services, namedPorts: {} });
    expect(ports.map(({ port }) => port)).toEqual([70, 9000]);
    expect(workloads.portByName(services, "web")).toBeUndefined();
  });
});

import { expect, test } from "vitest";
import { awaited, resourcesOf } from "./proxy-resources.ts";
import { meshOf } from "./testing/mesh.ts";

test("the mesh's HTTP proxy listens only where a workload sees hosts on every port", () => {
  const listening = (egress: string) => {
    const { translator, node } = meshOf(`
proxy: { id: sidecar~10.1.0.9~page.shop~shop.svc.cluster.local, metadata: { NAMESPACE: shop, CLUSTER_ID: east } }
mesh: { proxyHttpPort: 15002 }
clusters: [{ name: east, network: main }]
objects:
  - kind: Sidecar
    metadata: { name: default, namespace: shop }
    spec: { egress: [${egress}] }
`);
    const { listener, route } = resourcesOf(translator, node);
    for (const name of awaited(listener)) expect([...route.keys()]).toContain(name);
    return listener.has("127.0.0.1_15002");
  };
  expect(listening(`{ hosts: ["*/*"] }`)).toBe(true);
  expect(listening(`{ port: { number: 80, protocol: HTTP, name: http }, hosts: ["*/*"] }`)).toBe(false);
  expect(listening(`{ port: { protocol: HTTP, name: http }, bind: "unix:///run/a.sock", hosts: ["*/*"] }`)).toBe(false);
});

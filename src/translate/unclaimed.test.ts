import { expect, test } from "vitest";
import { resourcesOf } from "./proxy-resources.ts";
import { meshOf } from "./testing/mesh.ts";

/** What a proxy has to look up hosts that no service has: the cluster, the listener's chain, and the last virtual host. */
function lookingUp(objects: string, type = "sidecar"): readonly boolean[] {
  const { translator, node } = meshOf(`
proxy: { id: ${type}~10.1.0.9~page.shop~shop.svc.cluster.local, metadata: { NAMESPACE: shop, CLUSTER_ID: east } }
mesh: { outboundTrafficPolicy: { mode: ALLOW_ANY_DYNAMIC_DNS, tls: { mode: SIMPLE } } }
clusters: [{ name: east, network: main }]
objects:
  - kind: ServiceEntry
    metadata: { name: books, namespace: shop }
    spec: { hosts: [books.test], ports: [{ number: 80, name: http, protocol: HTTP }], resolution: DNS }
${objects}`);
  const { cluster, listener, route, virtualHost } = resourcesOf(translator, node);
  const holds = (bytes: Uint8Array | undefined, text: string) => Buffer.from(bytes ?? []).includes(text);
  const hosts = [...route.values(), ...virtualHost.values()];
  return [
    cluster.has("AllowAnyDynamicDNSCluster"),
    holds(listener.get("virtualOutbound")?.any, "AllowAnyDynamicDNSCluster"),
    holds(listener.get("0.0.0.0_80")?.any, "envoy.filters.http.dynamic_forward_proxy"),
    hosts.some(({ any }) => holds(any, "AllowAnyDynamicDNSCluster")),
  ];
}

test("hosts that no service has are looked up by sidecars, unless their Sidecar says otherwise", () => {
  expect(lookingUp("")).toEqual([true, true, true, true]);
  const own = `
  - kind: Sidecar
    metadata: { name: default, namespace: shop }
    spec: { outboundTrafficPolicy: { mode: ALLOW_ANY } }`;
  // Clusters that are not for a service are the same for all sidecars.
  expect(lookingUp(own)).toEqual([true, false, false, false]);
  expect(lookingUp("", "router")).toEqual([false, false, false, false]);
});

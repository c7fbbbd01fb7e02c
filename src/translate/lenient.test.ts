import { expect, test } from "vitest";
import { typeUrls } from "#proto/encoded.ts";
import { resourceOf } from "./proxy-resources.ts";
import { meshOf, resourceJson } from "./testing/mesh.ts";

const text = `
proxy:
  id: sidecar~10.0.0.5~server-1.shop~shop.svc.cluster.local
  metadata: { NAMESPACE: shop, CLUSTER_ID: east, LABELS: { app: server }, WEFT_SDS: "true" }
clusters: [{ name: east, network: main }]
---
cluster: east
objects:
  - { kind: Service, metadata: { name: server, namespace: shop }, spec: { clusterIP: 10.0.0.2, selector: { app: server }, ports: [{ name: http, port: 80 }] } }
---
objects:
  - { kind: PeerAuthentication, metadata: { name: default, namespace: shop }, spec: { mtls: { mode: STRICT } } }
  - { kind: PeerAuthentication, metadata: { name: server, namespace: shop }, spec: { selector: { matchLabels: { app: server } }, portLevelMtls: { 9000: { mode: STRICT }, 9001: { mode: DISABLE } } } }
`;

/** What the ports of a workload take, as its proxy's chains say. */
function takes(said: Readonly<Record<string, string>>): Readonly<Record<string, readonly string[]>> {
  const { translator, node } = meshOf(text);
  const own = { ...node, metadata: { ...node.metadata, ...said } };
  const listener = resourceOf(translator, own, typeUrls.listener, "virtualInbound");
  const { filterChains } = resourceJson(listener!) as unknown as {
    readonly filterChains: readonly {
      readonly filterChainMatch?: { readonly destinationPort?: number; readonly transportProtocol?: string };
    }[];
  };
  const matches = filterChains.map(({ filterChainMatch = {} }) => filterChainMatch);
  const transports = Map.groupBy(matches, ({ destinationPort = "others" }) => String(destinationPort));
  const found = [...transports].map(([port, each]) => {
    const named = new Set(each.flatMap(({ transportProtocol }) => transportProtocol ?? []));
    return [port, [...named].toSorted()] as const;
  });
  return Object.fromEntries(found.filter(([port]) => port !== "15006"));
}

test("a proxy whose workload is brought into the mesh, or out of it, takes plain text where it would take mutual TLS alone", () => {
  expect(takes({})).toEqual({ "80": ["tls"], "9000": ["tls"], "9001": ["raw_buffer"], others: ["tls"] });
  const both = ["raw_buffer", "tls"];
  const lenient = { "80": both, "9000": both, "9001": ["raw_buffer"], others: both };
  expect(takes({ WEFT_LENIENT: "true" })).toEqual(lenient);
  expect(takes({ WEFT_LENIENT: "no" })).toEqual(takes({}));
});

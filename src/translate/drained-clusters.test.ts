import { expect, test } from "vitest";
import { typeUrls } from "#proto/encoded.ts";
import { putYaml } from "#model/testing/objects.ts";
import { resourceOf } from "./proxy-resources.ts";
import { meshOf, resourceJson } from "./testing/mesh.ts";

const workload = (cluster: string, address: string) => `
cluster: ${cluster}
kind: Service
metadata: { name: reviews, namespace: shop }
spec: { ports: [{ name: http, port: 80 }] }
---
cluster: ${cluster}
kind: EndpointSlice
metadata: { name: reviews, namespace: shop, labels: { kubernetes.io/service-name: reviews } }
addressType: IPv4
ports: [{ name: http, port: 8080 }]
endpoints: [{ addresses: [${address}] }]
`;

test("callers of other clusters are not led to a drained one; its own are led everywhere as before", () => {
  const { engine, model, translator, node } = meshOf(`
proxy: { id: sidecar~10.1.0.9~page.shop~shop.svc.cluster.local, metadata: { NAMESPACE: shop, CLUSTER_ID: east } }
clusters: [{ name: east, network: main }, { name: west, network: main }]`);
  putYaml(model, `${workload("east", "10.1.0.1")}---${workload("west", "10.2.0.1")}`);
  const name = "outbound|80||reviews.shop.svc.cluster.local";
  const ledTo = (cluster: string): readonly string[] => {
    const from = { ...node, metadata: { ...node.metadata, CLUSTER_ID: cluster } };
    const found = resourceOf(translator, from, typeUrls.endpoints, name);
    return JSON.stringify(found && resourceJson(found)).match(/10\.\d\.0\.1/g) ?? [];
  };
  const both = ["10.1.0.1", "10.2.0.1"];
  expect([ledTo("east"), ledTo("west")]).toEqual([both, both]);
  engine.change(() => model.inputs.setDrained("west", true));
  expect([ledTo("east"), ledTo("west"), ledTo("")]).toEqual([["10.1.0.1"], both, ["10.1.0.1"]]);
  engine.change(() => model.inputs.setDrained("west", false));
  expect([ledTo("east"), ledTo("west")]).toEqual([both, both]);
});

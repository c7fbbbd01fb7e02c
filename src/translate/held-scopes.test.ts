import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { patience, runs } from "#base/testing/runs.ts";
import { type EncodedResource, typeUrls } from "#proto/encoded.ts";
import { VirtualHostSchema } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { classResources } from "./proxy-resources.ts";
import { parseScope } from "./scopes.ts";
import { apply, edit, nodes, withClusters } from "./testing/arbitrary.ts";
import { meshOf, resourceJson } from "./testing/mesh.ts";

function virtualHostOf({ any }: EncodedResource) {
  return fromBinary(VirtualHostSchema, fromBinary(AnySchema, any).value);
}

/** Names of clusters that a virtual host leads to. */
function clustersOf(resource: EncodedResource): readonly string[] {
  const json = JSON.stringify(resourceJson(resource));
  return [...json.matchAll(/"(?:cluster|name)":"(outbound\|[^"]*)"/g)].map(([, name = ""]) => name);
}

const mesh = `
mesh: { discovery: OnDemand }
clusters: [{ name: east, network: "" }]
proxy:
  id: sidecar~10.0.0.1~page.shop~shop.svc.cluster.local
  metadata: { NAMESPACE: shop, CLUSTER_ID: east, WORKLOAD_NAME: page }
---
cluster: east
objects:
  - { kind: Service, metadata: { name: a, namespace: shop }, spec: { clusterIP: 10.110.0.1, ports: [{ name: http, port: 80 }] } }
  - { kind: Service, metadata: { name: b, namespace: shop }, spec: { clusterIP: 10.110.0.2, ports: [{ name: http, port: 80 }] } }
  - { kind: Service, metadata: { name: c, namespace: shop }, spec: { clusterIP: 10.110.0.3, ports: [{ name: http, port: 80 }] } }
  - { kind: Service, metadata: { name: db, namespace: shop }, spec: { clusterIP: 10.110.0.4, ports: [{ name: tcp, port: 5432 }] } }
---
objects:
  - kind: VirtualService
    metadata: { name: b, namespace: shop }
    spec: { hosts: [b], http: [{ route: [{ destination: { host: c } }] }] }
`;

/** Short names of what the proxy of the small mesh holds. */
function held({ translator, node }: ReturnType<typeof meshOf>) {
  const { cluster, virtualHost } = classResources(translator, translator.classOf(node, "asked"));
  return {
    clusters: [...cluster.keys()]
      .filter((name) => name.startsWith("outbound|"))
      .map((name) => (name.split("|")[3] ?? "").split(".")[0] ?? "")
      .toSorted(),
    hosts: [...virtualHost.keys()].toSorted(),
  };
}

test("at first what connections are made to; then what was asked for, and where that leads", () => {
  const small = meshOf(mesh);
  expect(held(small)).toEqual({ clusters: ["db"], hosts: ["80/on-demand"] });
  small.model.inputs.setAsks("shop/page", {
    names: ["80/b", "80/www.example.com:80", "80/www.example.com"],
    tooMany: false,
  });
  expect(held(small)).toEqual({
    clusters: ["b", "c", "db"],
    hosts: ["80/b.shop.svc.cluster.local:80", "80/c.shop.svc.cluster.local:80", "80/on-demand", "80/www.example.com"],
  });
  small.model.inputs.setAsks("shop/page", { names: [], tooMany: true });
  expect(held(small).hosts).toContain("80/allow_any");
});

test.each([
  ["a proxy of another workload", { WORKLOAD_NAME: "other" }, "asked", 1],
  ["a workload without a name", { WORKLOAD_NAME: "" }, "asked", 4],
  ["an annotation that says All", { ANNOTATIONS: { "mesh.weft.dev/discovery": "All" } }, "asked", 4],
  ["an annotation that says something else", { ANNOTATIONS: { "mesh.weft.dev/discovery": "all" } }, "asked", 1],
  ["a proxy that cannot ask", {}, "apart", 4],
  ["a proxy that has hosts in its routes", {}, "inside", 4],
] as const)("%s", (_what, metadata, use, count) => {
  const { translator, node } = meshOf(mesh);
  const { cluster } = classResources(
    translator,
    translator.classOf({ ...node, metadata: { ...node.metadata, ...metadata } }, use),
  );
  expect([...cluster.keys()].filter((name) => name.startsWith("outbound|"))).toHaveLength(count);
});

describe("what is held of any mesh", () => {
  it("leads to no cluster that is not held, and has no domain twice", { timeout: patience(120_000) }, () => {
    fc.assert(
      fc.property(fc.array(edit, { minLength: 10, maxLength: 60 }), (edits) => {
        const any = withClusters();
        any.engine.change(() => {
          for (const each of edits) apply(any, each);
          any.model.inputs.setMesh({ discovery: "OnDemand" });
        });
        const { translator } = any;
        for (const node of nodes) {
          const key = translator.classOf(node, "asked");
          const some = classResources(translator, key);
          const all = new Set(
            translator.scopes.get(key)[typeUrls.cluster].flatMap((each) => {
              const scope = parseScope(each);
              return translator.names.get(scope.kind === "held" ? scope.of : each);
            }),
          );
          const domains = [...some.virtualHost].flatMap(([name, host]) =>
            virtualHostOf(host).domains.map((domain) => `${name.slice(0, name.lastIndexOf("/"))} ${domain}`),
          );
          expect(new Set(domains).size).toBe(domains.length);
          for (const name of [...some.virtualHost.values()].flatMap(clustersOf)) {
            if (all.has(name)) expect([...some.cluster.keys()]).toContain(name);
          }
        }
      }),
      { numRuns: runs(30) },
    );
  });
});

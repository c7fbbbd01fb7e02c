import { fromBinary } from "@bufbuild/protobuf";
import { AnySchema } from "@bufbuild/protobuf/wkt";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { putYaml } from "#model/testing/objects.ts";
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

test("at first nothing; then what was asked for, and where that leads", () => {
  const small = meshOf(mesh);
  expect(held(small)).toEqual({ clusters: [], hosts: ["80/on-demand"] });
  small.model.inputs.setAsks("shop/page", {
    names: [
      "80/b",
      "outbound|5432||db.shop.svc.cluster.local",
      "outbound|1||none.shop.svc.cluster.local",
      "80/www.example.com:80",
      "80/www.example.com",
    ],
    tooMany: false,
  });
  expect(held(small)).toEqual({
    clusters: ["b", "c", "db"],
    hosts: ["80/b.shop.svc.cluster.local:80", "80/c.shop.svc.cluster.local:80", "80/on-demand", "80/www.example.com"],
  });
  small.model.inputs.setAsks("shop/page", { names: [], tooMany: true });
  expect(held(small).hosts).toContain("80/allow_any");
});

const bound = `
kind: Sidecar
metadata: { name: bound, namespace: shop }
spec: { egress: [{ port: { number: 80, protocol: HTTP, name: http }, bind: 127.0.0.1, hosts: ["*/*"] }] }`;

const open = `
kind: Sidecar
metadata: { name: open, namespace: shop }
spec: { egress: [{ hosts: ["./a.shop.svc.cluster.local", "*/*"] }] }`;

const labelled = (mode: string): string => `
kind: Namespace
metadata: { name: shop, labels: { mesh.weft.dev/discovery: ${mode} } }`;

const scope = (mode: string): string => `
kind: EgressScope
metadata: { name: page, namespace: shop }
spec: { discovery: ${mode}, hosts: [] }`;

const annotated = (mode: string) => ({ ANNOTATIONS: { "mesh.weft.dev/discovery": mode } });

test.each([
  ["a proxy of another workload", { WORKLOAD_NAME: "other" }, "asked", "", "OnDemand"],
  ["a workload without a name", { WORKLOAD_NAME: "" }, "asked", "", "WORKLOAD_NAME"],
  ["a proxy that cannot ask", {}, "apart", "", "only Envoy 1.40"],
  ["a proxy that has hosts in its routes", {}, "inside", "", "only Envoy 1.40"],
  ["a Sidecar with a listener of its own", {}, "asked", bound, "egress listeners of its own"],
  ["a Sidecar that declares everything", {}, "asked", open, 'declares every host: spec.egress has "*/*"'],
  ["an annotation", annotated("All"), "asked", "", "All"],
  ["an annotation that says something else", annotated("some"), "asked", "", "OnDemand"],
  ["an EgressScope before an annotation", annotated("OnDemand"), "asked", scope("All"), "All"],
  ["an annotation before a namespace", annotated("OnDemand"), "asked", labelled("All"), "OnDemand"],
  ["a namespace before the mesh", {}, "asked", labelled("All"), "All"],
] as const)("%s decides what a proxy holds", (_what, metadata, use, object, expected) => {
  const { translator, model, node } = meshOf(mesh);
  if (object !== "") putYaml(model, object);
  const proxy = { ...node, metadata: { ...node.metadata, ...metadata } };
  const { mode, reason } = { reason: undefined, ...translator.discovery(proxy, use) };
  expect(reason ?? mode).toContain(expected);
  const { cluster } = classResources(translator, translator.classOf(proxy, use));
  expect(cluster.has("outbound|80||a.shop.svc.cluster.local")).toBe(mode === "All");
});

test("a word that is no mode is told of where it would have counted", () => {
  const { translator, model, node } = meshOf(mesh.replace("OnDemand", "All"));
  const reason = (metadata: object) =>
    translator.discovery({ ...node, metadata: { ...node.metadata, ...metadata } }, "asked");
  putYaml(model, labelled("ondemand"));
  expect(reason({})).toEqual({
    mode: "All",
    reason: `the namespace's label mesh.weft.dev/discovery says "ondemand", which is none of All, OnDemand`,
  });
  expect(reason(annotated("some"))).toMatchObject({
    reason: expect.stringContaining(`annotation mesh.weft.dev/discovery says "some"`) as string,
  });
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

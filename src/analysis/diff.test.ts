import { describe, expect, test } from "vitest";
import { complete, type ObjectInput } from "#model/testing/objects.ts";
import { diffMesh, type MeshProxy, type ResourceChange } from "./diff.ts";
import { edited, type MeshSnapshot, openMesh, type PlacedObject } from "./snapshot.ts";

function own(object: ObjectInput): PlacedObject {
  return { object: complete(object), cluster: "" };
}

function service(name: string, address: string): PlacedObject {
  const spec = { clusterIP: address, selector: { app: name }, ports: [{ name: "http", port: 9080 }] };
  return { object: complete({ kind: "Service", metadata: { name, namespace: "shop" }, spec }), cluster: "east" };
}

function sidecar(name: string, namespace: string): MeshProxy {
  return {
    name: `${name}.${namespace}`,
    cluster: "east",
    node: {
      id: `sidecar~10.10.0.1~${name}.${namespace}~${namespace}.svc.cluster.local`,
      metadata: { NAMESPACE: namespace, CLUSTER_ID: "east" },
      locality: { region: "", zone: "", subzone: "" },
    },
  };
}

const snapshot: MeshSnapshot = [
  own({ kind: "Cluster", metadata: { name: "east" }, spec: { network: "" } }),
  service("reviews", "10.110.0.1"),
  service("details", "10.110.0.2"),
];
const [page, cart, other] = [sidecar("page", "shop"), sidecar("cart", "shop"), sidecar("tool", "tools")];

function routing(spec: object): PlacedObject {
  return own({ kind: "VirtualService", metadata: { name: "reviews", namespace: "shop" }, spec });
}

function told(changes: readonly ResourceChange[]): readonly string[] {
  return changes.map(({ type, name, proxies, before, after }) => {
    const what = before === undefined ? "added" : after === undefined ? "removed" : "changed";
    return `${type} ${name} ${what}: ${proxies.map((each) => each.name).join(" ")}`;
  });
}

describe("what a change would do", () => {
  const timeout = routing({
    hosts: ["reviews"],
    http: [{ route: [{ destination: { host: "reviews" } }], timeout: "1s" }],
  });

  test("a rule changes one route configuration, once for all who share it", () => {
    const diff = diffMesh(openMesh(snapshot), snapshot, [page, cart, other], { put: [timeout], removed: [] });
    // Callers of other namespaces do not know the service by its short names, so theirs is another configuration.
    expect(told(diff.changes)).toEqual(["route 9080 changed: page.shop cart.shop", "route 9080 changed: tool.tools"]);
    expect(diff.newFindings).toEqual([]);
  });

  test("a private rule changes only who sees it", () => {
    const hidden = routing({
      hosts: ["reviews"],
      exportTo: ["."],
      http: [{ route: [{ destination: { host: "reviews" } }], timeout: "1s" }],
    });
    const diff = diffMesh(openMesh(snapshot), snapshot, [page, other], { put: [hidden], removed: [] });
    expect(told(diff.changes)).toEqual(["route 9080 changed: page.shop"]);
  });

  test("subsets are clusters that would be added", () => {
    const rule = own({
      kind: "DestinationRule",
      metadata: { name: "reviews", namespace: "shop" },
      spec: { host: "reviews", subsets: [{ name: "v1", labels: { version: "v1" } }] },
    });
    const diff = diffMesh(openMesh(snapshot), snapshot, [page], { put: [rule], removed: [] });
    expect(told(diff.changes)).toContain("cluster outbound|9080|v1|reviews.shop.svc.cluster.local added: page.shop");
  });

  test("a Service that would be gone takes its cluster, routes and name along", () => {
    const diff = diffMesh(openMesh(snapshot), snapshot, [page], { put: [], removed: [service("details", "")] });
    expect(told(diff.changes)).toEqual(
      expect.arrayContaining([
        "cluster outbound|9080||details.shop.svc.cluster.local removed: page.shop",
        "route 9080 changed: page.shop",
      ]),
    );
  });

  test("Istio's MeshConfig in its ConfigMap", () => {
    const configMap = (mesh: string): PlacedObject => {
      const object = complete({ kind: "ConfigMap", metadata: { name: "istio", namespace: "istio-system" } });
      return { object: { ...object, data: { mesh } }, cluster: "" };
    };
    const strict = configMap("outboundTrafficPolicy: { mode: REGISTRY_ONLY }");
    const diff = diffMesh(openMesh(snapshot), snapshot, [page], { put: [strict], removed: [] });
    expect(told(diff.changes)).toEqual(
      expect.arrayContaining(["listener virtualOutbound changed: page.shop", "route 9080 changed: page.shop"]),
    );
    const now = edited(snapshot, { put: [strict], removed: [] });
    const back = diffMesh(openMesh(now), now, [page], { put: [], removed: [strict] });
    expect(told(back.changes)).toEqual(told(diff.changes));
    const wrong = configMap("outboundTrafficPolicy: 7");
    expect(diffMesh(openMesh(now), now, [page], { put: [wrong], removed: [] }).changes).toEqual([]);
  });

  test("labels of a namespace, where discoverySelectors ask for them", () => {
    const namespace = (labels: object): PlacedObject => {
      return { object: complete({ kind: "Namespace", metadata: { name: "shop", labels } }), cluster: "east" };
    };
    const spec = { discoverySelectors: [{ matchLabels: { mesh: "on" } }] };
    const mesh = own({ kind: "Mesh", metadata: { name: "default" }, spec });
    const now = edited(snapshot, { put: [mesh, namespace({ mesh: "on" })], removed: [] });
    const diff = diffMesh(openMesh(now), now, [page], { put: [namespace({})], removed: [] });
    const gone = ["details", "reviews"].map(
      (name) => `cluster outbound|9080||${name}.shop.svc.cluster.local removed: page.shop`,
    );
    expect(told(diff.changes)).toEqual(expect.arrayContaining(gone));
    const later = edited(now, { put: [namespace({})], removed: [] });
    expect(diffMesh(openMesh(later), later, [page], { put: [timeout], removed: [] }).changes).toEqual([]);
  });

  test("what says the same changes nothing", () => {
    const diff = diffMesh(openMesh(snapshot), snapshot, [page], { put: [...snapshot], removed: [] });
    expect(told(diff.changes)).toEqual([]);
  });

  test("findings that would be new, and those that would be solved", () => {
    const wrong = routing({ hosts: ["reviews"], http: [{ route: [{ destination: { host: "nobody" } }] }] });
    const worse = diffMesh(openMesh(snapshot), snapshot, [page], { put: [wrong], removed: [] });
    expect(worse.newFindings.map(({ code, field }) => [code, field])).toEqual([
      ["UnknownHost", "spec.http[0].route[0].destination.host"],
    ]);
    const now = edited(snapshot, { put: [wrong], removed: [] });
    const better = diffMesh(openMesh(now), now, [page], { put: [timeout], removed: [] });
    expect(better.solvedFindings.map(({ code }) => code)).toEqual(["UnknownHost"]);
    expect(better.newFindings).toEqual([]);
  });
});

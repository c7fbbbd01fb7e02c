import { describe, expect, it } from "vitest";
import { WeftError } from "#base/errors.ts";
import { classKey, type NodeInfo, parseClass, proxyView, withoutNode } from "./proxy-class.ts";

const nowhere = { region: "", zone: "", subzone: "" };

function node(id: string, metadata: Record<string, unknown> = {}, locality = nowhere): NodeInfo {
  return { id, metadata, locality };
}

const id = "sidecar~10.0.0.1~reviews-1.shop~shop.svc.cluster.local";

describe("a proxy's class", () => {
  it("is read from the node as Istio's agent sends it", () => {
    const metadata = {
      NAMESPACE: "shop",
      CLUSTER_ID: "east",
      NETWORK: "main",
      LABELS: { app: "reviews", count: 3 },
      INTERCEPTION_MODE: "TPROXY",
      POD_PORTS: '[{"name":"http","containerPort":9080,"protocol":"TCP"},{"containerPort":1}]',
      ISTIO_VERSION: "1.31.0",
      NAME: "reviews-1",
      INSTANCE_IPS: "10.0.0.1",
      NODE_NAME: "worker-1",
    };
    expect(proxyView(node(id, metadata))).toEqual({
      type: "sidecar",
      namespace: "shop",
      cluster: "east",
      network: "main",
      locality: nowhere,
      node: "worker-1",
      labels: { app: "reviews" },
      virtualHosts: "inside",
      workloadPorts: [{ name: "http", port: 9080 }],
      interception: "TPROXY",
      metadata: {
        NAMESPACE: "shop",
        CLUSTER_ID: "east",
        NETWORK: "main",
        INTERCEPTION_MODE: "TPROXY",
        ISTIO_VERSION: "1.31.0",
      },
    });
  });

  it("has its namespace from the id where metadata has none, and survives nonsense", () => {
    expect(proxyView(node(id, { LABELS: "x", POD_PORTS: "{", INTERCEPTION_MODE: 7 }))).toMatchObject({
      namespace: "shop",
      labels: {},
      virtualHosts: "inside",
      workloadPorts: [],
      interception: "REDIRECT",
    });
  });

  it("has its locality from the node, else from labels", () => {
    const eu = { region: "eu", zone: "eu-a", subzone: "r" };
    const labels = { "istio-locality": "us.us-a", "topology.kubernetes.io/region": "asia" };
    expect(proxyView(node(id, { LABELS: labels }, eu)).locality).toEqual(eu);
    expect(proxyView(node(id, { LABELS: labels })).locality).toEqual({ region: "us", zone: "us-a", subzone: "" });
    const newer = { ...labels, "topology.istio.io/locality": "af/af-a/af-a-1" };
    expect(proxyView(node(id, { LABELS: newer })).locality).toEqual({ region: "af", zone: "af-a", subzone: "af-a-1" });
    expect(proxyView(node(id, { LABELS: { "topology.kubernetes.io/region": "asia" } })).locality.region).toBe("asia");
  });

  it.each(["", "ztunnel~1~a.b~c", "sidecar~1~~", "sidecar~10.0.0.1~a.b~"])("is refused for the id %j", (bad) => {
    expect(() => proxyView(node(bad))).toThrow(WeftError);
  });

  it("is one for proxies that differ only in name and address, and reads back", () => {
    const other = "sidecar~10.0.0.2~reviews-2.shop~shop.svc.cluster.local";
    expect(classKey(proxyView(node(id)))).toBe(classKey(proxyView(node(other))));
    const placed = proxyView(node(id, { NODE_NAME: "worker-1" }));
    expect(parseClass(classKey(placed))).toEqual(placed);
    expect(parseClass(withoutNode(classKey(placed)))).toEqual({ ...placed, node: "" });
  });
});

import { describe, expect, test } from "vitest";
import type { ProxyFinding } from "#xds/port.ts";
import { proxyEvent, proxyFindingObject } from "./proxy-finding.ts";

const finding = (node: string, cluster = "east"): ProxyFinding => ({
  node,
  cluster,
  code: "ProxyNeverReads",
  what: "takes nothing",
  since: 0,
  last: 1000,
  count: 3,
});

describe("a finding as an object", () => {
  test("stands where the Pod is, and says who did what", () => {
    const node = "sidecar~10.0.0.1~page-1.shop~shop.svc.cluster.local";
    expect(proxyFindingObject(finding(node))).toMatchObject({
      kind: "ProxyFinding",
      metadata: { name: "page-1.east.proxy-never-reads", namespace: "shop" },
      spec: { pod: "page-1", cluster: "east", node, message: "Proxy page-1.shop (east) takes nothing." },
      status: { since: "1970-01-01T00:00:00.000Z", last: "1970-01-01T00:00:01.000Z", count: 3 },
    });
    expect(proxyEvent(finding(node))).toMatchObject({ namespace: "shop", pod: "page-1", reason: "ProxyNeverReads" });
  });

  test.each([
    ["", "", "unnamed.proxy-never-reads", "A peer that has not said who it is takes nothing."],
    ["x", "", "x.proxy-never-reads", "Proxy x takes nothing."],
    [
      "sidecar~1~Ü b/../c.shop~d",
      "E~ast",
      "b-..-c.e-ast.proxy-never-reads",
      "Proxy Ü b/../c.shop (E~ast) takes nothing.",
    ],
  ])("has a plain name, whatever %j calls itself", (node, cluster, name, message) => {
    const object = proxyFindingObject(finding(node, cluster));
    expect([object.metadata.name, object.spec.message]).toEqual([name, message]);
  });

  test("of a proxy that is no Pod's is no event", () => {
    expect(proxyEvent(finding(""))).toBeUndefined();
    expect(proxyEvent(finding("x"))).toBeUndefined();
  });
});

import { describe, expect, it } from "vitest";
import { everyone } from "./client.ts";
import { modelOf } from "./testing/objects.ts";

const host = "reviews.shop.svc.cluster.local";
const service = `shop/${host}`;

function rule(name: string, namespace: string, spec: string, created = "2026-01-01T00:00:00Z"): string {
  return `
---
kind: DestinationRule
metadata: { name: ${name}, namespace: ${namespace}, creationTimestamp: "${created}" }
spec: ${spec}`;
}

function applies(text: string, viewer: string): readonly string[] {
  return modelOf(text).rules.ruleKeys.get({ viewer, service });
}

describe("the DestinationRule of a service", () => {
  const all =
    rule("own", "bank", `{ host: ${host} }`) +
    rule("service", "shop", "{ host: reviews }") +
    rule("root", "istio-system", `{ host: "*.svc.cluster.local" }`);

  it("is the caller's own, else of the service's namespace, else of the root namespace", () => {
    expect(applies(all, "bank")).toEqual(["bank/own"]);
    expect(applies(all, "shop")).toEqual(["shop/service"]);
    expect(applies(all, "other")).toEqual(["shop/service"]);
    expect(applies(all, everyone)).toEqual(["shop/service"]);
    expect(applies(rule("root", "istio-system", `{ host: "*.local" }`), "other")).toEqual(["istio-system/root"]);
  });

  it("is not one that is not exported to the caller", () => {
    const hidden = rule("service", "shop", "{ host: reviews, exportTo: [.] }");
    expect(applies(hidden, "shop")).toEqual(["shop/service"]);
    expect(applies(hidden, "other")).toEqual([]);
    const named = rule("service", "shop", "{ host: reviews, exportTo: [bank] }");
    expect(applies(named, "bank")).toEqual(["shop/service"]);
    expect(applies(named, everyone)).toEqual([]);
  });

  it("is the one for the most specific host", () => {
    const wild =
      rule("wide", "shop", `{ host: "*.local" }`) + rule("narrow", "shop", `{ host: "*.shop.svc.cluster.local" }`);
    expect(applies(wild, "other")).toEqual(["shop/narrow"]);
    expect(applies(wild + rule("exact", "shop", "{ host: reviews }"), "other")).toEqual(["shop/exact"]);
  });

  it("of the root namespace yields to the service's for the root's own proxies", () => {
    const both = rule("service", "shop", "{ host: reviews }") + rule("root", "istio-system", `{ host: "*.local" }`);
    expect(applies(both, "istio-system")).toEqual(["shop/service"]);
    const secret = both + rule("secret", "istio-system", `{ host: "*.local", exportTo: [.] }`);
    expect(applies(secret, "istio-system")).toEqual(["istio-system/secret"]);
  });

  it("is joined from several for one host: the first policy, every subset, the first of a name", () => {
    const text =
      rule(
        "b",
        "shop",
        "{ host: reviews, trafficPolicy: { loadBalancer: { simple: RANDOM } }, subsets: [{ name: v1, labels: { v: b } }, { name: v2 }] }",
        "2026-01-02T00:00:00Z",
      ) + rule("a", "shop", "{ host: reviews, subsets: [{ name: v1, labels: { v: a } }] }");
    const merged = modelOf(text).rules.rule({ viewer: "other", service });
    expect(merged?.spec.host).toBe(host);
    expect(merged?.spec.subsets?.map(({ name, labels }) => [name, labels])).toEqual([
      ["v1", { v: "a" }],
      ["v2", undefined],
    ]);
    expect(merged?.spec.trafficPolicy?.loadBalancer?.simple).toBe("RANDOM");
    expect(merged?.origins.map(({ name }) => name)).toEqual(["a", "b"]);
  });
});

import { describe, expect, it } from "vitest";
import type { StringMap } from "#api/meta.ts";
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

/** Rules that apply for a workload of a namespace. */
function applies(text: string, namespace: string, labels?: StringMap, of = service): readonly string[] {
  const { rules, clients } = modelOf(text);
  const viewer = labels ? clients.sidecarClient({ namespace, labels }) : { namespace };
  return rules.ruleKeys({ viewer, service: of });
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
    const merged = modelOf(text).rules.rule({ viewer: { namespace: "other" }, service });
    expect(merged?.spec.host).toBe(host);
    expect(merged?.spec.subsets?.map(({ name, labels }) => [name, labels])).toEqual([
      ["v1", { v: "a" }],
      ["v2", undefined],
    ]);
    expect(merged?.spec.trafficPolicy?.loadBalancer?.simple).toBe("RANDOM");
    expect(merged?.origins.map(({ name }) => name)).toEqual(["a", "b"]);
  });
});

describe("several DestinationRules for a host", () => {
  const at = (second: number): string => `2026-01-01T00:00:0${second}Z`;

  it("are joined where they are seen by the same namespaces, and the last of the others holds", () => {
    // Istio's TestSetDestinationRuleMerging.
    const text =
      rule("rule1", "shop", "{ host: reviews }", at(1)) +
      rule("rule2", "shop", "{ host: reviews }", at(2)) +
      rule("rule3", "shop", "{ host: reviews, exportTo: [bank] }", at(3));
    expect(applies(text, "shop", {})).toEqual(["shop/rule1", "shop/rule2"]);
    expect(applies(text, "other", {})).toEqual(["shop/rule1", "shop/rule2"]);
    expect(applies(text, "bank", {})).toEqual(["shop/rule3"]);
  });

  it("are joined to those that fewer namespaces see, if these are named", () => {
    const narrow = rule("narrow", "shop", "{ host: reviews, exportTo: [., bank] }", at(1));
    const wide = rule("wide", "shop", "{ host: reviews, exportTo: [., bank, other] }", at(2));
    expect(applies(narrow + wide, "bank", {})).toEqual(["shop/narrow", "shop/wide"]);
    expect(applies(narrow + wide, "other", {})).toEqual([]);
    const all = rule("all", "shop", "{ host: reviews, exportTo: ['*'] }", at(2));
    expect(applies(narrow + all, "bank", {})).toEqual(["shop/all"]);
    expect(applies(rule("unsaid", "shop", "{ host: reviews }", at(1)) + all, "other", {})).toEqual(["shop/all"]);
  });

  const exported = (name: string, namespace: string, exportTo: string, to = "httpbin.org"): string =>
    rule(name, namespace, `{ host: "${to}"${exportTo === "" ? "" : `, exportTo: [${exportTo}]`} }`);

  // Istio's TestSetDestinationRuleWithExportTo.
  const everywhere =
    exported("rule1", "test1", "., ns1") +
    exported("rule2", "test2", "test2, ns1, test1, newNS") +
    exported("rule3", "test3", "test1, test2, '*'") +
    exported("rule4-local", "test4", "test4") +
    exported("rule4", "istio-system", "") +
    exported("rule1", "istio-system", ".") +
    exported("rule2", "istio-system", ".", "*.org") +
    exported("rule3", "istio-system", ".", "*.app.org") +
    exported("rule5", "test5", "istio-system", "api.test.com") +
    exported("rule6", "test6", "istio-system", "api.test.com");

  it.each([
    ["test1", "test1", "httpbin.org", "test1/rule1"],
    ["test1", "test2", "httpbin.org", "test1/rule1"],
    ["test2", "test1", "httpbin.org", "test2/rule2"],
    ["newNS", "test2", "httpbin.org", "test2/rule2"],
    ["test3", "test1", "httpbin.org", "test3/rule3"],
    ["test5", "test4", "httpbin.org", "istio-system/rule4"],
    ["ns1", "test1", "httpbin.org", "test1/rule1"],
    ["ns1", "random", "httpbin.org", "istio-system/rule4"],
    ["random", "random", "httpbin.org", "istio-system/rule4"],
    ["test3", "random", "httpbin.org", "test3/rule3"],
    ["istio-system", "random", "httpbin.org", "istio-system/rule1"],
    ["istio-system", "istio-system", "httpbin.org", "istio-system/rule1"],
    ["istio-system", "istio-system", "foo.app.org", "istio-system/rule3"],
    ["istio-system", "test5", "api.test.com", "test5/rule5"],
    ["istio-system", "test6", "api.test.com", "test6/rule6"],
    ["istio-system", "test7", "api.test.com", undefined],
  ])("for a proxy of %s and a service of %s called %s", (viewer, namespace, to, expected) => {
    const found = applies(everywhere, viewer, undefined, `${namespace}/${to}`);
    expect(found).toEqual(expected === undefined ? [] : [expected]);
  });
});

describe("a DestinationRule for chosen workloads", () => {
  const chosen = (name: string, app: string, more = "", created = "2026-01-01T00:00:01Z"): string =>
    rule(name, "shop", `{ host: reviews, workloadSelector: { matchLabels: { app: ${app} } }${more} }`, created);
  const late = "2026-01-01T00:00:02Z";

  it("goes before the others for those, joined with what its namespace alone sees", () => {
    // Istio's TestSetDestinationRuleWithWorkloadSelector.
    const text =
      chosen("rule1", "app1", ", exportTo: [bank, .]") +
      chosen("rule2", "app2", ", exportTo: [bank, .]", late) +
      chosen("rule3", "app2", ", exportTo: [bank, .]", late) +
      rule("rule4", "shop", "{ host: reviews, exportTo: [., bank] }", "2026-01-01T00:00:00Z");
    expect(applies(text, "shop", { app: "app1" })).toEqual(["shop/rule1", "shop/rule4"]);
    expect(applies(text, "shop", { app: "app2" })).toEqual(["shop/rule2", "shop/rule3", "shop/rule4"]);
    expect(applies(text, "shop", { app: "app3" })).toEqual(["shop/rule4"]);
    expect(applies(text, "bank", { app: "app1" })).toEqual(["shop/rule4"]);
  });

  it("leaves a rule for all alone that says nothing of who sees it", () => {
    const text = chosen("own", "app1") + rule("all", "shop", "{ host: reviews }");
    expect(applies(text, "shop", { app: "app1", more: "than that" })).toEqual(["shop/own"]);
    expect(applies(text, "shop", { app: "other" })).toEqual(["shop/all"]);
    expect(applies(text, "bank", { app: "app1" })).toEqual(["shop/all"]);
  });

  it("for a host keeps those of other namespaces, and for wider hosts, from its namespace's other workloads", () => {
    const elsewhere = rule("root", "istio-system", `{ host: "*.local" }`);
    expect(applies(chosen("own", "app1") + elsewhere, "shop", { app: "other" })).toEqual([]);
    expect(applies(chosen("own", "app1") + elsewhere, "bank", {})).toEqual(["istio-system/root"]);
    const wide = rule("wide", "shop", `{ host: "*.shop.svc.cluster.local" }`);
    expect(applies(chosen("own", "app1") + wide, "shop", { app: "other" })).toEqual([]);
  });

  it("changes nothing for workloads without its labels", () => {
    const { clients } = modelOf(chosen("own", "app1") + rule("all", "shop", "{ host: reviews }"));
    const client = (namespace: string, labels: StringMap) => clients.sidecarClient({ namespace, labels });
    expect(client("shop", { app: "other" })).toEqual({ namespace: everyone, sidecar: "" });
    expect(client("bank", { app: "app1" })).toEqual({ namespace: everyone, sidecar: "" });
    expect(client("shop", { app: "app1" })).toEqual({ namespace: "shop", rules: ["shop/own"], sidecar: "" });
  });
});

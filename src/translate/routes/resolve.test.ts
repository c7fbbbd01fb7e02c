import { describe, expect, test } from "vitest";
import type { HTTPRoute } from "#api/istio/http-route.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import { resolveGateway } from "#model/virtualservices.ts";
import { routingRule, type VirtualServiceRow } from "./resolve.ts";

function config(name: string, spec: VirtualServiceSpec, namespace = "shop"): VirtualServiceRow {
  const ref = { group: "networking.istio.io", kind: "VirtualService", namespace, name };
  return { ref, namespace, name, created: "2026-01-01T00:00:00Z", spec };
}

function resolve(root: VirtualServiceRow, others: readonly VirtualServiceRow[] = []) {
  return routingRule(root, {
    find: (namespace, name) => others.find((each) => each.namespace === namespace && each.name === name),
    exportTo: ({ spec }) => spec.exportTo ?? ["*"],
  });
}

/** A root that delegates what it matches. */
function root(delegate: { name: string; namespace?: string }): VirtualServiceRow {
  const match = [{ uri: { prefix: "/api" }, method: { exact: "GET" } }];
  return config("root", { hosts: ["www.example.com"], http: [{ name: "root", match, timeout: "3s", delegate }] });
}

function findingsOf(others: readonly VirtualServiceRow[], namespace = "shop"): readonly string[] {
  return resolve(root({ name: "leaf", namespace }), others).findings.map(({ code }) => code);
}

test("short names are of the rule's own namespace, wherever they stand", () => {
  const { rule } = resolve(
    config("rule", {
      hosts: ["reviews"],
      http: [
        {
          match: [{ gateways: ["./edge"] }],
          route: [{ destination: { host: "reviews" } }],
          mirror: { host: "shadow" },
          mirrors: [{ destination: { host: "shadow.bank.svc.cluster.local" } }],
        },
      ],
    }),
  );
  expect(rule).toMatchObject({
    http: [
      {
        match: [{ gateways: ["shop/edge"] }],
        route: [{ destination: { host: "reviews.shop.svc.cluster.local" } }],
        mirror: { host: "shadow.shop.svc.cluster.local" },
        mirrors: [{ destination: { host: "shadow.bank.svc.cluster.local" } }],
      },
    ],
  });
});

test.each([
  ["edge", "shop/edge"],
  ["./edge", "shop/edge"],
  ["bank/edge", "bank/edge"],
  ["edge.bank.svc.cluster.local", "bank/edge"],
  ["edge.bank", "bank/edge"],
  ["mesh", "mesh"],
])("gateway %s is %s", (name, full) => {
  expect(resolveGateway(name, "shop")).toBe(full);
});

describe("delegates", () => {
  const leaf: HTTPRoute = {
    name: "leaf",
    match: [{ uri: { prefix: "/api/v1" }, headers: { tier: { exact: "gold" } } }],
    route: [{ destination: { host: "reviews" } }],
  };
  test("take the root's place, with what the root says where they say nothing", () => {
    const { rule, findings } = resolve(root({ name: "leaf", namespace: "bank" }), [
      config("leaf", { http: [leaf] }, "bank"),
    ]);
    expect(findings).toEqual([]);
    expect(rule.http).toMatchObject([
      {
        name: "root-leaf",
        timeout: "3s",
        match: [{ uri: { prefix: "/api/v1" }, method: { exact: "GET" }, headers: { tier: { exact: "gold" } } }],
        route: [{ destination: { host: "reviews.bank.svc.cluster.local" } }],
      },
    ]);
    expect(rule.http[0]).not.toHaveProperty("delegate");
  });

  test("that match what their root does not are dropped, and said", () => {
    const outside: HTTPRoute = { ...leaf, match: [{ uri: { prefix: "/other" } }] };
    const { rule, findings } = resolve(root({ name: "leaf" }), [config("leaf", { http: [outside, leaf] })]);
    expect(rule.http).toHaveLength(1);
    expect(findings).toMatchObject([{ code: "DelegateConflict", field: "spec.http[0].delegate" }]);
  });

  test("that are not there, have hosts, or are hidden leave the route out, and it is said", () => {
    expect(findingsOf([])).toEqual(["UnknownDelegate"]);
    expect(findingsOf([config("leaf", { hosts: ["reviews"], http: [leaf] })])).toEqual(["UnknownDelegate"]);
    expect(findingsOf([config("leaf", { exportTo: ["."], http: [leaf] }, "bank")], "bank")).toEqual([
      "DelegateNotVisible",
    ]);
    expect(findingsOf([config("leaf", { exportTo: ["shop"], http: [leaf] }, "bank")], "bank")).toEqual([]);
  });
});

test("routes say where they are written, a delegate's also who delegates to it", () => {
  const leaf = config("leaf", { http: [{ match: [{ uri: { prefix: "/other" } }] }, { timeout: "1s" }] });
  const rule = root({ name: "leaf" });
  const written = resolve(rule, [leaf]).rule.origins;
  expect(written).toEqual([
    {
      steps: [
        { ref: rule.ref, field: "spec.http[0]" },
        { ref: leaf.ref, field: "spec.http[1]" },
      ],
      ownMatches: false,
    },
  ]);
});

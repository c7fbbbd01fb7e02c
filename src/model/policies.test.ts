import { describe, expect, test } from "vitest";
import { only } from "./services.ts";
import { modelOf, putYaml } from "./testing/objects.ts";

const objects = `
{ kind: AuthorizationPolicy, metadata: { name: all, namespace: istio-system, creationTimestamp: "2026-03-01T00:00:00Z" }, spec: {} }
---
{ kind: AuthorizationPolicy, metadata: { name: chosen, namespace: istio-system }, spec: { selector: { matchLabels: { app: cart } } } }
---
{ kind: AuthorizationPolicy, metadata: { name: later, namespace: shop, creationTimestamp: "2026-02-02T00:00:00Z" }, spec: {} }
---
{ kind: AuthorizationPolicy, metadata: { name: cart, namespace: shop, creationTimestamp: "2026-02-01T00:00:00Z" }, spec: { selector: { matchLabels: { app: cart } } } }
---
{ kind: AuthorizationPolicy, metadata: { name: target, namespace: shop, creationTimestamp: "2026-02-03T00:00:00Z" }, spec: { targetRefs: [{ kind: Service, group: "", name: cart }] } }
---
{ kind: AuthorizationPolicy, metadata: { name: former, namespace: shop, creationTimestamp: "2026-02-04T00:00:00Z" }, spec: { targetRef: { kind: ServiceEntry, group: networking.istio.io, name: outside } } }
---
{ kind: AuthorizationPolicy, metadata: { name: lost, namespace: shop }, spec: { targetRefs: [{ kind: Service, group: "", name: nobody }] } }
---
{ kind: AuthorizationPolicy, metadata: { name: gateway, namespace: shop }, spec: { targetRefs: [{ kind: Gateway, group: gateway.networking.k8s.io, name: edge }] } }
---
{ kind: AuthorizationPolicy, metadata: { name: other, namespace: bank }, spec: {} }
---
{ cluster: east, kind: Service, metadata: { name: cart, namespace: shop }, spec: { clusterIP: 10.0.0.1, ports: [{ port: 80 }] } }
---
{ kind: ServiceEntry, metadata: { name: outside, namespace: shop }, spec: { hosts: [outside.example], ports: [{ number: 80, name: http, protocol: HTTP }] } }
---
{ kind: RequestAuthentication, metadata: { name: users, namespace: shop }, spec: { jwtRules: [{ issuer: a, jwksUri: "http://a/", timeout: 1s }, { issuer: b, jwks_uri: "http://a/" }, { issuer: c, jwks: x }, { issuer: "http://d" }] } }
`;

const policiesOf = (namespace: string, labels = {}, services: readonly string[] = []) =>
  modelOf(objects).policies.chosen({ namespace, labels, services: () => services })?.authorization;

describe("policies of a proxy", () => {
  const everywhere = "istio-system/all";
  const chosen = "istio-system/chosen";
  test.each([
    ["another namespace", "other", {}, [], [everywhere]],
    ["labels that the root namespace selects", "other", { app: "cart" }, [], [chosen, everywhere]],
    ["its own namespace, the oldest first", "shop", {}, [], [everywhere, "shop/later"]],
    ["its labels", "shop", { app: "cart" }, [], [chosen, everywhere, "shop/cart", "shop/later"]],
    [
      "a service that it serves",
      "shop",
      {},
      ["shop/cart.shop.svc.cluster.local"],
      [everywhere, "shop/later", "shop/target"],
    ],
    ["a service of another namespace", "bank", {}, ["shop/cart.shop.svc.cluster.local"], [everywhere, "bank/other"]],
    ["a ServiceEntry that it serves", "shop", {}, ["shop/outside.example"], [everywhere, "shop/later", "shop/former"]],
    [
      "a Gateway of the Gateway API",
      "shop",
      { "gateway.networking.k8s.io/gateway-name": "edge" },
      [],
      [everywhere, "shop/gateway", "shop/later"],
    ],
  ] as const)("by %s", (_title, namespace, labels, services, keys) =>
    expect(policiesOf(namespace, labels, services)).toEqual(keys),
  );

  test("the root namespace is the mesh's", () => {
    const model = modelOf(objects);
    model.inputs.setMesh({ rootNamespace: "bank" });
    const proxy = { namespace: "other", labels: {}, services: () => [] };
    expect(model.policies.chosen(proxy)?.authorization).toEqual(["bank/other"]);
  });

  test("none are no key at all", () => {
    const model = modelOf("{ kind: AuthorizationPolicy, metadata: { name: a, namespace: shop }, spec: {} }");
    expect(model.policies.chosen({ namespace: "bank", labels: {}, services: () => [] })).toBeUndefined();
  });
});

describe("keys that are wanted", () => {
  test("are those that no rule has itself, each once, with the longest time", () => {
    expect([...modelOf(objects).policies.wantedJwks.get(only)]).toEqual([
      ["uri http://a/", { issuer: "b", uri: "http://a/", timeoutMs: 5000 }],
      ["issuer http://d", { issuer: "http://d", uri: "", timeoutMs: 5000 }],
    ]);
  });

  test("only tries are marked by the annotation", () => {
    const model = modelOf(objects);
    const put = (value: string): boolean | undefined => {
      putYaml(
        model,
        `{ kind: AuthorizationPolicy, metadata: { name: a, namespace: shop, annotations: { istio.io/dry-run: "${value}" } }, spec: {} }`,
      );
      return model.policies.authorizationPolicy.get("shop/a")?.dryRun;
    };
    expect(["true", "1", "T", "false", "0"].map(put)).toEqual([true, true, true, undefined, undefined]);
  });
});

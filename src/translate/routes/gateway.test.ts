import { expect, test } from "vitest";
import type { HTTPRoute } from "#api/istio/http-route.ts";
import { type BoundRule, type GatewayServer, gatewayRoutes, gatewayVirtualHost, planGatewayHosts } from "./gateway.ts";
import { ruleRoutes } from "./route.ts";

const server: GatewayServer = {
  gateway: "edge/shop",
  port: 8080,
  hosts: ["*.example.com"],
  tls: false,
  httpsRedirect: false,
};
function rule(name: string, hosts: readonly string[], namespace = "shop"): BoundRule {
  return { key: `${namespace}/${name}`, namespace, hosts };
}

function plan(servers: readonly GatewayServer[], rules: readonly BoundRule[]) {
  return planGatewayHosts({ servers, rulesOf: () => rules });
}

test("the narrower of a server's and a rule's host is served", () => {
  expect(plan([server], [rule("page", ["page.example.com"])]).map(({ domains }) => domains)).toEqual([
    ["page.example.com"],
  ]);
  const exact = { ...server, hosts: ["page.example.com"] };
  expect(plan([exact], [rule("page", ["*.example.com", "*.org"])]).map(({ domains }) => domains)).toEqual([
    ["page.example.com"],
  ]);
});

test("a host of a server may be open to one namespace's rules only", () => {
  const closed = { ...server, hosts: ["bank/*", "./*"] };
  expect(plan([closed], [rule("page", ["page.example.com"])])).toEqual([]);
  expect(plan([closed], [rule("page", ["page.example.com"], "bank")])).toHaveLength(1);
  expect(plan([closed], [rule("page", ["page.example.com"], "edge")])).toHaveLength(1);
});

test("rules of one host are joined, and what takes every request comes last", () => {
  const [joined] = plan([server], [rule("all", ["page.example.com"]), rule("some", ["page.example.com"])]);
  const source = { namespace: "edge", labels: {} };
  const destinations = { service: () => undefined, rule: () => undefined };
  const http: Readonly<Record<string, HTTPRoute>> = {
    "shop/all": { directResponse: { status: 404 } },
    "shop/some": { match: [{ uri: { prefix: "/api" } }], directResponse: { status: 204 } },
  };
  const made = gatewayVirtualHost(
    joined!,
    ({ rule: key, gateway, port, tls }) =>
      ruleRoutes(
        {
          ref: { group: "networking.istio.io", kind: "VirtualService", namespace: "shop", name: key },
          http: [http[key]!],
          origins: [],
        },
        { place: { source, gateway, port }, tls, destinations, defaults: {}, traced: false },
      ),
    {},
  );
  expect(made.routes.map(({ match }) => match?.pathSpecifier.value)).toEqual(["/api", "/"]);
});

test("hosts with the same routes share a virtual host, which has the name of the most specific", () => {
  const hosts = ["*.example.com", "a.example.com", "long.example.com"];
  const rules = [rule("all", hosts), rule("more", ["b.example.com"]), rule("more", ["c.example.com"])];
  expect(plan([server], rules).map(({ name, domains }) => [name, domains])).toEqual([
    ["b.example.com:8080", ["b.example.com", "c.example.com"]],
    ["long.example.com:8080", ["long.example.com", "a.example.com", "*.example.com"]],
  ]);
});

test("hosts whose callers are sent to HTTPS are apart", () => {
  const secured = { ...server, hosts: ["a.example.com"], httpsRedirect: true };
  const plans = plan([server, secured], [rule("all", ["a.example.com", "b.example.com"])]);
  expect(plans.map(({ name, httpsRedirect }) => [name, httpsRedirect])).toEqual([
    ["a.example.com:8080", true],
    ["b.example.com:8080", false],
  ]);
});

test("a server that sends callers to HTTPS does so for hosts without rules too", () => {
  const [only] = plan([{ ...server, httpsRedirect: true }], []);
  expect(only).toMatchObject({ domains: ["*.example.com"], origins: [], httpsRedirect: true });
});

test("a port without virtual hosts has one without routes, which answers 404", () => {
  expect(gatewayRoutes("http.8080", 8080, []).virtualHosts).toMatchObject([
    { name: "blackhole:8080", domains: ["*"], routes: [] },
  ]);
});

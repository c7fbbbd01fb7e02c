import { expect, test } from "vitest";
import { type GatewayServer, gatewayRoutes, gatewayVirtualHost, planGatewayHosts } from "./gateway.ts";
import { ruleRoutes } from "./route.ts";
import type { RoutingRule } from "./rule.ts";

const server: GatewayServer = {
  gateway: "edge/shop",
  port: 8080,
  hosts: ["*.example.com"],
  tls: false,
  httpsRedirect: false,
};
const source = { namespace: "edge", labels: {} };

function rule(name: string, hosts: readonly string[], more: Partial<RoutingRule> = {}): RoutingRule {
  return {
    namespace: "shop",
    name,
    created: "2026-01-01T00:00:00Z",
    hosts,
    gateways: ["edge/shop"],
    exportTo: ["*"],
    http: [{ route: [{ destination: { host: "page.shop.svc.cluster.local" } }] }],
    ...more,
  };
}

function plan(servers: readonly GatewayServer[], rules: readonly RoutingRule[]) {
  return planGatewayHosts({ servers, source, rulesOf: (name) => rules.filter((each) => each.gateways.includes(name)) });
}

test("the narrower of a server's and a rule's host is served", () => {
  expect(plan([server], [rule("page", ["page.example.com"])]).map(({ host }) => host)).toEqual(["page.example.com"]);
  const exact = { ...server, hosts: ["page.example.com"] };
  expect(plan([exact], [rule("page", ["*.example.com", "*.org"])]).map(({ host }) => host)).toEqual([
    "page.example.com",
  ]);
});

test("a host of a server may be open to one namespace's rules only", () => {
  const closed = { ...server, hosts: ["bank/*", "./*"] };
  expect(plan([closed], [rule("page", ["page.example.com"])])).toEqual([]);
  expect(plan([closed], [rule("page", ["page.example.com"], { namespace: "bank" })])).toHaveLength(1);
  expect(plan([closed], [rule("page", ["page.example.com"], { namespace: "edge" })])).toHaveLength(1);
});

test("rules of one host are joined, and what takes every request comes last", () => {
  const all = rule("all", ["page.example.com"]);
  const some = rule("some", ["page.example.com"], {
    http: [{ name: "api", match: [{ uri: { prefix: "/api" } }], directResponse: { status: 204 } }],
  });
  const [joined] = plan([server], [all, some]);
  const destinations = { service: () => undefined, rule: () => undefined };
  const made = gatewayVirtualHost(joined!, ({ rule: key, gateway, port, tls }) =>
    ruleRoutes(key === "shop/all" ? all : some, { place: { source, gateway, port }, tls, destinations, defaults: {} }),
  );
  expect(made.routes.map(({ match }) => match?.pathSpecifier.value)).toEqual(["/api", "/"]);
});

test("a server that sends callers to HTTPS does so for hosts without rules too", () => {
  const [only] = plan([{ ...server, httpsRedirect: true }], []);
  expect(only).toMatchObject({ host: "*.example.com", origins: [], httpsRedirect: true });
});

test("a port without virtual hosts has one without routes, which answers 404", () => {
  expect(gatewayRoutes("http.8080", 8080, []).virtualHosts).toMatchObject([
    { name: "blackhole:8080", domains: ["*"], routes: [] },
  ]);
});

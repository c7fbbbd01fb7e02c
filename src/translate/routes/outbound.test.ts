import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { NamedService } from "./domains.ts";
import { planVirtualHosts } from "./outbound.ts";
import { compareRules, type RoutingRule } from "./rule.ts";

const source = { namespace: "shop", labels: { app: "page" } };
const toReviews = { route: [{ destination: { host: "reviews.shop.svc.cluster.local" } }] };

function service(name: string, namespace = "shop", addresses: readonly string[] = []): NamedService {
  return { host: `${name}.${namespace}.svc.cluster.local`, aliases: [], addresses, headless: false };
}

function rule(name: string, hosts: readonly string[], more: Partial<RoutingRule> = {}): RoutingRule {
  const created = "2026-01-01T00:00:00Z";
  return { namespace: "shop", name, created, hosts, gateways: ["mesh"], exportTo: ["*"], http: [toReviews], ...more };
}

function plan(services: readonly NamedService[], rules: readonly RoutingRule[], port = 9080) {
  const place = { source, port, gateway: "mesh" };
  return planVirtualHosts({ place, namespace: "shop", services, rules: rules.toSorted(compareRules) });
}

function ruleOf(host: string, services: readonly NamedService[], rules: readonly RoutingRule[]): string | undefined {
  return plan(services, rules).find((each) => each.host === host)?.rule;
}

const reviews = service("reviews");

describe("which rule serves a service", () => {
  test("none: the default route", () => {
    expect(plan([reviews], [])).toMatchObject([{ name: "reviews.shop.svc.cluster.local:9080", host: reviews.host }]);
    expect(ruleOf(reviews.host, [reviews], [])).toBeUndefined();
  });

  test("of two the older, whatever their names", () => {
    const older = rule("z", [reviews.host], { created: "2025-12-31T00:00:00Z" });
    expect(ruleOf(reviews.host, [reviews], [rule("a", [reviews.host]), older])).toBe("shop/z");
  });

  test("of equal age the first by name", () => {
    expect(ruleOf(reviews.host, [reviews], [rule("b", [reviews.host]), rule("a", [reviews.host])])).toBe("shop/a");
  });

  test("one that only its own namespace sees goes before an older one that all see", () => {
    const own = rule("own", [reviews.host], { exportTo: ["shop"], created: "2026-06-01T00:00:00Z" });
    expect(ruleOf(reviews.host, [reviews], [rule("all", [reviews.host]), own])).toBe("shop/own");
  });

  test("a full name goes before a wildcard, a narrow wildcard before a wide one", () => {
    const wide = rule("wide", ["*.local"]);
    const narrow = rule("narrow", ["*.shop.svc.cluster.local"]);
    expect(ruleOf(reviews.host, [reviews], [wide, narrow, rule("full", [reviews.host])])).toBe("shop/full");
    expect(ruleOf(reviews.host, [reviews], [wide, narrow])).toBe("shop/narrow");
  });

  test("one whose matches are all for other callers leaves the service to the next", () => {
    const others = rule("a", [reviews.host], { http: [{ ...toReviews, match: [{ sourceLabels: { app: "other" } }] }] });
    expect(ruleOf(reviews.host, [reviews], [others])).toBeUndefined();
    expect(ruleOf(reviews.host, [reviews], [others, rule("b", [reviews.host])])).toBe("shop/b");
  });

  test("one whose matches are all for another port has no say on this one", () => {
    const otherPort = rule("a", [reviews.host], { http: [{ ...toReviews, match: [{ port: 80 }] }] });
    expect(ruleOf(reviews.host, [reviews], [otherPort])).toBeUndefined();
  });
});

describe("hosts that are no services", () => {
  const outside = rule("outside", ["www.example.com"]);

  test("are served on port 80", () => {
    expect(plan([], [outside], 80)).toMatchObject([{ domains: ["www.example.com"], rule: "shop/outside" }]);
  });

  test("are served elsewhere only beside a service of the same rule", () => {
    expect(plan([reviews], [outside])).toHaveLength(1);
    const both = rule("both", ["www.example.com", reviews.host]);
    expect(plan([reviews], [both]).map(({ host }) => host)).toEqual([reviews.host, "www.example.com"]);
  });
});

describe("domains", () => {
  test("a short name never takes another service's full name", () => {
    const external: NamedService = { host: "reviews.shop", aliases: [], addresses: [], headless: false };
    const plans = plan([reviews, external], []);
    expect(plans.find(({ host }) => host === "reviews.shop")?.domains).toContain("reviews.shop");
    expect(plans.find(({ host }) => host === reviews.host)?.domains).not.toContain("reviews.shop");
  });

  test("each belongs to one virtual host, and so does each name", () => {
    const label = fc.constantFrom("a", "b", "shop", "svc", "reviews");
    const host = fc.oneof(
      label.map((name) => `${name}.shop.svc.cluster.local`),
      label.map((name) => `${name}.bank.svc.cluster.local`),
      fc.array(label, { minLength: 1, maxLength: 3 }).map((labels) => labels.join(".")),
      label.map((name) => `*.${name}.com`),
    );
    const services = fc
      .uniqueArray(host, { maxLength: 8 })
      .map((hosts) =>
        hosts.map((each, at) => ({ host: each, aliases: [], addresses: [`10.0.0.${at % 3}`], headless: at % 2 === 0 })),
      );
    const rules = fc
      .array(fc.uniqueArray(host, { minLength: 1, maxLength: 3 }), { maxLength: 5 })
      .map((lists) => lists.map((hosts, at) => rule(`rule-${at}`, hosts)));
    fc.assert(
      fc.property(services, rules, fc.constantFrom(80, 9080), (services, rules, port) => {
        const plans = plan(services, rules, port);
        const domains = plans.flatMap((each) => each.domains);
        expect(new Set(domains).size).toBe(domains.length);
        expect(new Set(plans.map(({ name }) => name)).size).toBe(plans.length);
        for (const { host } of services) expect(plans.some((each) => each.host === host)).toBe(true);
      }),
    );
  });
});

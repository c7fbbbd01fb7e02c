import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { compareHosts } from "#model/hosts.ts";
import { type NamedService, namedService } from "./domains.ts";
import { runs } from "#base/testing/runs.ts";
import { plansAtHome, planVirtualHosts } from "./outbound.ts";

function service(name: string, namespace = "shop", addresses: readonly string[] = []): NamedService {
  const host = `${name}.${namespace}.svc.cluster.local`;
  return namedService({ host, aliases: [], addresses, headless: false }, false);
}

/** Rules by host, in their order; those whose names begin with `not` have nothing for the caller. */
type Rules = Readonly<Record<string, readonly string[]>>;

function planned(services: readonly NamedService[], rules: Rules, port: number, namespace: string) {
  const hosts = Object.entries(rules)
    .map(([host, keys]) => ({ host, rules: keys }))
    .toSorted((a, b) => compareHosts(a.host, b.host));
  const precedence = [...new Set(Object.values(rules).flat())];
  const applies = (rule: string): boolean => !rule.startsWith("not");
  return planVirtualHosts({ port, namespace, services, hosts, precedence, applies });
}

function plan(services: readonly NamedService[], rules: Rules, port = 9080) {
  return planned(services, rules, port, "shop").plans;
}

function ruleOf(host: string, services: readonly NamedService[], rules: Rules): string | undefined {
  return plan(services, rules).find((each) => each.host === host)?.rule;
}

const reviews = service("reviews");

describe("which rule serves a service", () => {
  test("none: the default route", () => {
    expect(plan([reviews], {})).toMatchObject([{ name: "reviews.shop.svc.cluster.local:9080", host: reviews.host }]);
    expect(ruleOf(reviews.host, [reviews], {})).toBeUndefined();
  });

  test("the first that names it", () => {
    expect(ruleOf(reviews.host, [reviews], { [reviews.host]: ["older", "younger"] })).toBe("older");
  });

  test("a full name goes before a wildcard, a narrow wildcard before a wide one", () => {
    const wildcards = { "*.local": ["wide"], "*.shop.svc.cluster.local": ["narrow"] };
    expect(ruleOf(reviews.host, [reviews], { ...wildcards, [reviews.host]: ["full"] })).toBe("full");
    expect(ruleOf(reviews.host, [reviews], wildcards)).toBe("narrow");
  });

  test("one that has nothing for the caller leaves the service to the next that names it, never to a wildcard", () => {
    expect(ruleOf(reviews.host, [reviews], { [reviews.host]: ["not-mine", "mine"] })).toBe("mine");
    expect(ruleOf(reviews.host, [reviews], { [reviews.host]: ["not-mine"], "*.local": ["wide"] })).toBeUndefined();
  });
});

describe("other names of services", () => {
  const alias: NamedService = { ...service("critics"), isAlias: true };

  test("have no virtual host of their own", () => {
    expect(plan([reviews, alias], {}).map(({ host }) => host)).toEqual([reviews.host]);
  });

  test("but where a rule names them, before the service that they stand for", () => {
    const named = { ...reviews, aliases: [alias.host] };
    const [first, second] = plan([named, alias], { [alias.host]: ["mine"] });
    expect(first).toMatchObject({ host: alias.host, rule: "mine" });
    expect(second?.domains).not.toContain(alias.host);
  });
});

describe("hosts that are no services", () => {
  test("are served on port 80", () => {
    expect(plan([], { "www.example.com": ["outside"] }, 80)).toMatchObject([
      { domains: ["www.example.com"], rule: "outside" },
    ]);
  });

  test("are served elsewhere only beside a service of the same rule", () => {
    expect(plan([reviews], { "www.example.com": ["outside"] })).toHaveLength(1);
    const both = plan([reviews], { "www.example.com": ["both"], [reviews.host]: ["both"] });
    expect(both.map(({ host }) => host)).toEqual([reviews.host, "www.example.com"]);
  });

  test("are not served by rules that have nothing for the caller", () => {
    expect(plan([], { "www.example.com": ["not-mine"] }, 80)).toEqual([]);
  });
});

describe("domains", () => {
  test("a short name never takes another service's full name", () => {
    const external = namedService({ host: "reviews.shop", aliases: [], addresses: [], headless: false }, false);
    const plans = plan([reviews, external], {});
    expect(plans.find(({ host }) => host === "reviews.shop")?.domains).toContain("reviews.shop");
    expect(plans.find(({ host }) => host === reviews.host)?.domains).not.toContain("reviews.shop");
  });

  test("a service's short name that another rule names too is of the rule that goes first", () => {
    const domainsOf = (rules: Rules) => plan([reviews], rules, 80).find(({ host }) => host === reviews.host)?.domains;
    expect(domainsOf({ "reviews.shop": ["other"], [reviews.host]: ["own"] })).not.toContain("reviews.shop");
    expect(domainsOf({ [reviews.host]: ["own"], "reviews.shop": ["other"] })).toContain("reviews.shop");
  });

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
      hosts.map((each, at) =>
        namedService(
          { host: each, aliases: [], addresses: [`10.0.0.${at % 3}`], headless: at % 2 === 0 },
          each.startsWith("a.shop"),
        ),
      ),
    );
  const keys = fc.uniqueArray(fc.constantFrom("a", "b", "not-mine"), { minLength: 1 });
  const rules = fc.dictionary(host, keys, { maxKeys: 5 });

  test("each belongs to one virtual host, and so does each name", () => {
    fc.assert(
      fc.property(services, rules, fc.constantFrom(80, 9080), (services, rules, port) => {
        const plans = plan(services, rules, port);
        const domains = plans.flatMap((each) => each.domains);
        expect(new Set(domains).size).toBe(domains.length);
        expect(new Set(plans.map(({ name }) => name)).size).toBe(plans.length);
        for (const { host, isAlias } of services)
          if (!isAlias) expect(plans.some((each) => each.host === host)).toBe(true);
      }),
    );
  });

  test("of callers of a namespace are those of a caller of none, but for services with shorter names there", () => {
    let other = 0;
    let disputed = 0;
    const check = (all: readonly NamedService[], ruled: Rules, port: number): void => {
      const common = planned(all, ruled, port, "");
      const atHome = all.filter(({ domainsAtHome }) => domainsAtHome.has("shop"));
      const planOf = (name: string) => common.plans.find((each) => each.name === name);
      const own = plansAtHome(common, planOf, atHome, { port, namespace: "shop" });
      if (!own) {
        disputed += 1;
        return;
      }
      other += own.length;
      const replaced = new Map(own.map((each) => [each.name, each]));
      const together = common.plans.map((each) => replaced.get(each.name) ?? each);
      expect(together).toEqual(planned(all, ruled, port, "shop").plans);
    };
    fc.assert(fc.property(services, rules, fc.constantFrom(80, 9080), check), { numRuns: runs(500) });
    expect(other).toBeGreaterThan(100);
    expect(disputed).toBeGreaterThan(10);
  });
});

import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PolicyRule } from "#api/kubernetes/rbac.ts";
import { runs } from "#base/testing/runs.ts";
import { checkOf, type Attributes } from "./attributes.ts";
import { allows, uncovered } from "./rules.ts";

/** A small world in which every request can be listed. */
const verbs = ["get", "list", "escalate"];
const groups = ["", "apps", "networking.istio.io"];
const resources = ["pods", "deployments"];
const subresources = ["", "log", "status"];
const names = ["", "a", "b"];
const paths = ["/", "/api", "/api/v1", "/apis", "/healthz"];

const world: readonly Attributes[] = [
  ...verbs.flatMap((verb) =>
    groups.flatMap((group) =>
      resources.flatMap((resource) =>
        subresources.flatMap((subresource) =>
          names.map((name) => checkOf({ verb, group, resource, subresource, name })),
        ),
      ),
    ),
  ),
  ...verbs.flatMap((verb) => paths.map((path) => ({ kind: "path", verb, path }) as const)),
];

const some = (words: readonly string[]): fc.Arbitrary<string[]> =>
  fc.uniqueArray(fc.constantFrom(...words), { maxLength: 3 });
const full = resources.flatMap((resource) => ["", "/log", "/status"].map((end) => `${resource}${end}`));
const rule: fc.Arbitrary<PolicyRule> = fc.oneof(
  fc.record({
    verbs: some([...verbs, "*"]),
    apiGroups: some([...groups, "*"]),
    resources: some([...full, "*", "*/log", "*/status"]),
    resourceNames: fc.oneof(fc.constant([]), some(["a", "b"])),
  }),
  fc.record({ verbs: some([...verbs, "*"]), nonResourceURLs: some([...paths, "*", "/api/*", "/ap*"]) }),
);
const rules = fc.array(rule, { maxLength: 4 });

/**
 * Kubernetes' meaning of a rule, told the other way round: the texts of every request that it allows are written out, with
 * wildcards replaced by all that they stand for.
 */
function written(rule: PolicyRule): ReadonlySet<string> {
  const wild = (list: readonly string[] | undefined, all: readonly string[]): readonly string[] =>
    list?.includes("*") ? all : (list ?? []);
  const found = new Set<string>();
  for (const verb of wild(rule.verbs, verbs)) {
    for (const url of rule.nonResourceURLs ?? []) {
      const pattern = new RegExp(`^${RegExp.escape(url).replace(/\\\*$/, ".*")}$`);
      for (const path of paths) if (pattern.test(path)) found.add(`${verb} ${path}`);
    }
    for (const group of wild(rule.apiGroups, groups)) {
      for (const pattern of wild(rule.resources, full)) {
        const [left = "", right = ""] = pattern.split("/");
        for (const resource of left === "*" ? resources : [left]) {
          for (const name of rule.resourceNames?.length ? rule.resourceNames : names) {
            found.add([verb, group, resource, right, name].join("|"));
          }
        }
      }
    }
  }
  return found;
}

function textOf(attributes: Attributes): string {
  if (attributes.kind === "path") return `${attributes.verb} ${attributes.path}`;
  const { verb, group, resource, subresource, name } = attributes;
  return [verb, group, resource, subresource, name].join("|");
}

describe("rules", () => {
  test("allow what an independent reading of them allows, and nothing else", { timeout: 120_000 }, () => {
    fc.assert(
      fc.property(rule, (rule) => {
        const expected = written(rule);
        for (const attributes of world) {
          expect([textOf(attributes), allows(rule, attributes)]).toEqual([
            textOf(attributes),
            expected.has(textOf(attributes)),
          ]);
        }
      }),
      { numRuns: runs(150) },
    );
  });

  test("that are said to be held by somebody allow nothing more", { timeout: 120_000 }, () => {
    let held = 0;
    fc.assert(
      fc.property(rules, rules, (owned, wanted) => {
        const missing = uncovered(owned, wanted);
        for (const attributes of world) {
          const has = owned.some((one) => allows(one, attributes));
          const asked = wanted.some((one) => allows(one, attributes));
          const named = missing.some((one) => allows(one, attributes));
          // What is asked for is held, or is named as missing.
          if (asked && !has) expect([textOf(attributes), named]).toEqual([textOf(attributes), true]);
        }
        if (missing.length === 0 && wanted.length > 0) held += 1;
      }),
      { numRuns: runs(150) },
    );
    expect(held).toBeGreaterThan(0);
  });

  test("are held by who has them, in parts too", () => {
    fc.assert(
      fc.property(rules, (wanted) => uncovered(wanted, wanted).length === 0),
      { numRuns: runs(100) },
    );
    const get = { verbs: ["get"], apiGroups: [""], resources: ["pods"] };
    const list = { verbs: ["list"], apiGroups: [""], resources: ["pods"] };
    expect(uncovered([get, list], [{ verbs: ["get", "list"], apiGroups: [""], resources: ["pods"] }])).toEqual([]);
    expect(uncovered([{ ...get, resourceNames: ["a"] }], [get])).toEqual([get]);
    expect(uncovered([get], [{ ...get, resourceNames: ["a"] }])).toEqual([]);
    expect(uncovered([get], [{ verbs: ["*"], apiGroups: [""], resources: ["pods"] }])).toHaveLength(1);
    expect(
      uncovered(
        [{ verbs: ["get"], nonResourceURLs: ["/api/*"] }],
        [{ verbs: ["get"], nonResourceURLs: ["/api/v1", "/a"] }],
      ),
    ).toEqual([{ verbs: ["get"], nonResourceURLs: ["/a"] }]);
  });
});

import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import { equal } from "#base/canonical.ts";
import type { ObjectRef } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { everyone } from "./client.ts";
import { exportsOf, isExportedTo } from "./exports.ts";
import { hostMatches, isWildcard } from "#api/istio/hosts.ts";
import { compareHosts, resolveHost } from "./hosts.ts";
import type { Config } from "./rows.ts";
import { byAge } from "./service.ts";
import { only, type ServiceQueries } from "./services.ts";
import { parseServiceKey, serviceKey, type Tables } from "./tables.ts";

/** A service as a viewer sees it. */
interface ServiceView {
  /** A namespace, or `everyone`. */
  readonly viewer: string;
  /** The service's key. */
  readonly service: string;
}

/** What the DestinationRules that apply say together, and which they are. */
export interface MergedRule {
  readonly spec: DestinationRuleSpec;
  readonly origins: readonly ObjectRef[];
}

/** Questions about DestinationRules. */
export interface RuleQueries {
  /** Keys of the rules that apply to a service for a viewer, the leading one first; empty where none does. */
  readonly ruleKeys: Query<ServiceView, readonly string[]>;
  /** Rules merged, by their keys joined with commas. */
  readonly merged: Query<string, MergedRule | undefined>;
  /** What applies to a service for a viewer. */
  readonly rule: (view: ServiceView) => MergedRule | undefined;
}

/** Joins the specifications of rules for one host: the first traffic policy and every subset, the first of a name. */
function mergeRules(rules: readonly Config<DestinationRuleSpec>[]): MergedRule | undefined {
  const [first] = rules;
  if (!first) return undefined;
  const policy = rules.find((rule) => rule.spec.trafficPolicy)?.spec.trafficPolicy;
  const subsets = new Map(
    rules
      .flatMap((rule) => rule.spec.subsets ?? [])
      .toReversed()
      .map((subset) => [subset.name, subset]),
  );
  return {
    spec: {
      ...first.spec,
      host: resolveHost(first.spec.host, first.namespace),
      ...(policy && { trafficPolicy: policy }),
      // Built from the last to the first, so that the first of a name wins; turned back to the users' order.
      subsets: [...subsets.values()].toReversed(),
    },
    origins: rules.map((rule) => rule.ref),
  };
}

/** Rules for chosen workloads only are not part of what a whole namespace sees. */
function usable(rule: Config<DestinationRuleSpec>): boolean {
  return rule.spec.workloadSelector === undefined;
}

/** Declares the queries about DestinationRules. */
export function ruleQueries(engine: Engine, tables: Tables, services: ServiceQueries): RuleQueries {
  const exportTo = (rule: Config<DestinationRuleSpec>): readonly string[] =>
    exportsOf(rule.spec.exportTo, services.mesh.get(only).defaultDestinationRuleExportTo);

  /** Only its own namespace sees it. */
  const isPrivate = (rule: Config<DestinationRuleSpec>): boolean => {
    const exports = exportTo(rule);
    return exports.length === 1 && (exports[0] === "." || exports[0] === rule.namespace);
  };

  const wildcards = engine.stringQuery("wildcard-rules", (namespace): readonly string[] => {
    const hosts = tables.destinationRules.byNamespace
      .rows(namespace)
      .map((rule) => resolveHost(rule.spec.host, namespace))
      .filter(isWildcard);
    return [...new Set(hosts)].toSorted(compareHosts);
  });

  /** Rules of a namespace for the most specific host that fits, among those that `wanted` lets through. */
  const mostSpecific = (
    namespace: string,
    host: string,
    wanted: (rule: Config<DestinationRuleSpec>) => boolean,
  ): readonly Config<DestinationRuleSpec>[] => {
    for (const pattern of [host, ...wildcards.get(namespace)]) {
      if (!hostMatches(pattern, host)) continue;
      const rules = tables.rulesByHost.rows(serviceKey(namespace, pattern)).filter(wanted);
      if (rules.length > 0) return rules.toSorted(byAge);
    }
    return [];
  };

  const exported = (namespace: string, host: string, viewer: string): readonly Config<DestinationRuleSpec>[] =>
    mostSpecific(namespace, host, (rule) => usable(rule) && !isPrivate(rule)).filter((rule) =>
      isExportedTo(exportTo(rule), rule.namespace, viewer),
    );

  const local = (viewer: string, host: string, root: string): readonly Config<DestinationRuleSpec>[] => {
    if (viewer === everyone) return [];
    // Rules that the root namespace exports are meant for all and come last, for its own proxies too.
    const wanted =
      viewer === root ? isPrivate : (rule: Config<DestinationRuleSpec>) => isExportedTo(exportTo(rule), viewer, viewer);
    return mostSpecific(viewer, host, (rule) => usable(rule) && wanted(rule));
  };

  /** Of rules for one host, the first and those that are seen wherever it is seen. */
  const mergeable = (rules: readonly Config<DestinationRuleSpec>[]): readonly Config<DestinationRuleSpec>[] => {
    const [first] = rules;
    if (!first) return [];
    const seen = new Set(exportTo(first));
    return rules.filter((rule) => {
      const exports = new Set(exportTo(rule));
      return equal(exports, seen) || [...seen].every((each) => exports.has(each));
    });
  };

  const ruleKeys = engine.query<ServiceView, readonly string[]>({
    name: "rule-keys",
    key: ({ viewer, service }) => `${viewer}|${service}`,
    compute: ({ viewer, service }) => {
      const { namespace, host } = parseServiceKey(service);
      const root = services.mesh.get(only).rootNamespace;
      const found = [
        () => local(viewer, host, root),
        () => exported(namespace, host, viewer),
        () => exported(root, host, viewer),
      ];
      for (const find of found) {
        const rules = mergeable(find());
        if (rules.length > 0) return rules.map((rule) => `${rule.namespace}/${rule.name}`);
      }
      return [];
    },
  });

  const merged = engine.stringQuery("merged-rule", (keys): MergedRule | undefined =>
    keys === "" ? undefined : mergeRules(keys.split(",").flatMap((key) => tables.destinationRules.rows.get(key) ?? [])),
  );

  return { ruleKeys, merged, rule: (view) => merged.get(ruleKeys.get(view).join(",")) };
}

import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { ObjectRef } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { everyone, type Viewer } from "./client.ts";
import { hostMatches, isWildcard } from "#api/istio/hosts.ts";
import { compareHosts, resolveHost } from "./hosts.ts";
import type { Config } from "./rows.ts";
import { groupFor, groupRules, isShownTo, type RuleGroup, writtenExports } from "./rule-groups.ts";
import { only, type ServiceQueries } from "./services.ts";
import { parseServiceKey, serviceKey, type Tables } from "./tables.ts";

/** A service as a namespace sees it. */
interface NamespaceView {
  /** A namespace, or `everyone`. */
  readonly viewer: string;
  /** The service's key. */
  readonly service: string;
}

/** A service as workloads see it. */
interface ServiceView {
  readonly viewer: Viewer;
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
  readonly ruleKeys: (view: ServiceView) => readonly string[];
  /** Rules merged, by their keys joined with commas. */
  readonly merged: Query<string, MergedRule | undefined>;
  /** Names of the subsets that rules of a namespace give a service, for some workloads at least. */
  readonly subsets: (view: NamespaceView) => readonly string[];
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

/** Declares the queries about DestinationRules. */
export function ruleQueries(engine: Engine, tables: Tables, services: ServiceQueries): RuleQueries {
  /** Only its own namespace sees it. */
  const isPrivate = (rule: Config<DestinationRuleSpec>): boolean => {
    const exports = writtenExports(rule);
    if (exports.length === 0) return services.mesh.get(only).defaultDestinationRuleExportTo.includes(".");
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
  ): readonly RuleGroup[] => {
    for (const pattern of [host, ...wildcards.get(namespace)]) {
      if (!hostMatches(pattern, host)) continue;
      const rules = tables.rulesByHost.rows(serviceKey(namespace, pattern)).filter(wanted);
      if (rules.length > 0) return groupRules(rules);
    }
    return [];
  };

  const exported = (namespace: string, host: string, viewer: string): readonly RuleGroup[] =>
    mostSpecific(namespace, host, (rule) => !isPrivate(rule)).filter(({ exportTo }) => isShownTo(exportTo, viewer));

  const local = (viewer: string, host: string, root: string): readonly RuleGroup[] => {
    if (viewer === everyone) return [];
    // Rules that the root namespace exports are meant for all and come last, for its own proxies too.
    if (viewer === root) return mostSpecific(viewer, host, isPrivate);
    return mostSpecific(viewer, host, (rule) => {
      const exports = writtenExports(rule);
      return exports.includes(".") || isShownTo(exports, viewer);
    });
  };

  const groups = engine.query<NamespaceView, readonly RuleGroup[]>({
    name: "rule-groups",
    key: ({ viewer, service }) => `${viewer}|${service}`,
    compute: ({ viewer, service }) => {
      const { namespace, host } = parseServiceKey(service);
      const root = services.mesh.get(only).rootNamespace;
      const own = local(viewer, host, root);
      if (own.length > 0) return own;
      const theirs = exported(namespace, host, viewer);
      return theirs.length > 0 ? theirs : exported(root, host, viewer);
    },
  });

  const merged = engine.stringQuery("merged-rule", (keys): MergedRule | undefined =>
    keys === "" ? undefined : mergeRules(keys.split(",").flatMap((key) => tables.destinationRules.rows.get(key) ?? [])),
  );

  const ruleKeys = ({ viewer, service }: ServiceView): readonly string[] =>
    groupFor(groups.get({ viewer: viewer.namespace, service }), viewer.rules)?.rules ?? [];

  const subsets = (view: NamespaceView): readonly string[] => {
    const all = groups.get(view).flatMap(({ rules }) => merged.get(rules.join(","))?.spec.subsets ?? []);
    return [...new Set(all.map(({ name }) => name))];
  };

  return { ruleKeys, merged, subsets, rule: (view) => merged.get(ruleKeys(view).join(",")) };
}

import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import { hostMatches, isWildcard } from "#api/istio/hosts.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { Viewer } from "./client.ts";
import { exportsOf, namedExports } from "./exports.ts";
import { parseServiceHost, resolveHost } from "./hosts.ts";
import { labelsMatch } from "./labels.ts";
import type { Config } from "./rows.ts";
import { selectorOf } from "./rule-groups.ts";
import { only, type ServiceQueries } from "./services.ts";
import { parseServiceKey, type Tables } from "./tables.ts";

type Rule = Config<DestinationRuleSpec>;

/** Stands for every namespace in a list of those that are special. */
export const anywhere = "*";

/** A rule for chosen workloads. */
interface ChoosingRule {
  readonly key: string;
  readonly labels: StringMap;
  /** Namespaces of the hosts that it is for; `anywhere` for all. */
  readonly targets: readonly string[];
}

/** Questions about DestinationRules that do not hold for everyone. */
export interface ForeignRules {
  /** Names in the `exportTo` of rules of a namespace that are not exported to all; its own too. */
  readonly exports: Query<string, readonly string[]>;
  /** Namespaces whose hosts the rules of a namespace change for its own proxies, whatever labels these have. */
  readonly targets: Query<string, readonly string[]>;
  /** Namespaces whose hosts the root namespace's rules change for a namespace that they are exported to by its name. */
  readonly fromRoot: Query<string, readonly string[]>;
  /** Keys of the rules of a namespace that choose a workload by its labels, sorted. */
  readonly choosing: (namespace: string, labels: StringMap) => readonly string[];
  /** Those rules of a viewer that are for its workloads only and change hosts of a namespace. */
  readonly among: (viewer: Viewer, namespace: string) => readonly string[];
}

/** The namespace that a host pattern names, such as of `*.shop.svc.cluster.local`. */
function namedBy(pattern: string): string {
  const plain = isWildcard(pattern) ? `x${pattern.slice(pattern.indexOf("."))}` : pattern;
  return parseServiceHost(plain)?.namespace ?? anywhere;
}

function hostOf(rule: Rule): string {
  return resolveHost(rule.spec.host, rule.namespace);
}

function overlap(a: string, b: string): boolean {
  return hostMatches(a, b) || hostMatches(b, a);
}

/** Declares the queries about DestinationRules that do not hold for everyone. */
export function foreignRuleQueries(engine: Engine, tables: Tables, services: ServiceQueries): ForeignRules {
  const { byNamespace, rows } = tables.destinationRules;

  /** Namespaces that may have hosts of a pattern: that which it names, and those with ServiceEntries for such a host. */
  const confinedTo = (pattern: string): readonly string[] => {
    const strays = tables.strayEntries.names().map(parseServiceKey);
    const those = strays.filter(({ host }) => hostMatches(pattern, host)).map(({ namespace }) => namespace);
    return [...new Set([namedBy(pattern), ...those])];
  };

  const exports = engine.stringQuery("foreign-rule-exports", (namespace): readonly string[] => {
    const otherwise = services.mesh.get(only).defaultDestinationRuleExportTo;
    const named = byNamespace
      .rows(namespace)
      .filter((row) => !selectorOf(row))
      .flatMap((row) => {
        const written = exportsOf(row.spec.exportTo, otherwise);
        // Its own proxies do not see it among the rules for all, and may put these together otherwise.
        return written.includes("*") ? [] : [...written, "."];
      });
    return [...new Set(named)].toSorted();
  });

  /**
   * Whether a rule for chosen workloads keeps another one from its namespace's other workloads: where a namespace has any
   * rule for a host, Istio looks for none elsewhere.
   */
  const hides = (rule: Rule): boolean => {
    const { namespace } = rule;
    const root = services.mesh.get(only).rootNamespace;
    const host = hostOf(rule);
    const places = confinedTo(host);
    const near = [...new Set([namespace, ...places, root])];
    const others = places.includes(anywhere) ? rows.rows() : near.flatMap((each) => byNamespace.rows(each));
    return others.some((other) => {
      const beside = other.namespace === namespace && namespace !== root && hostOf(other) === host;
      return !selectorOf(other) && !beside && overlap(hostOf(other), host);
    });
  };

  const targets = engine.stringQuery("foreign-rules", (namespace): readonly string[] => {
    const special = byNamespace
      .rows(namespace)
      .filter((rule) =>
        selectorOf(rule) ? hides(rule) : confinedTo(hostOf(rule)).some((target) => target !== namespace),
      );
    return [...new Set(special.flatMap((rule) => confinedTo(hostOf(rule))))].toSorted();
  });

  const fromRoot = engine.stringQuery("root-rules-for", (namespace): readonly string[] => {
    const { rootNamespace: root, defaultDestinationRuleExportTo: otherwise } = services.mesh.get(only);
    const shown = byNamespace
      .rows(root)
      .filter(
        (row) => !selectorOf(row) && namedExports(exportsOf(row.spec.exportTo, otherwise), root).includes(namespace),
      );
    return [...new Set(shown.flatMap((rule) => confinedTo(hostOf(rule))))].toSorted();
  });

  const choosers = engine.stringQuery("choosing-rules", (namespace): readonly ChoosingRule[] =>
    byNamespace
      .rows(namespace)
      .flatMap((rule) => {
        const labels = selectorOf(rule);
        return labels ? [{ key: `${namespace}/${rule.name}`, labels, targets: confinedTo(hostOf(rule)) }] : [];
      })
      .toSorted((a, b) => (a.key < b.key ? -1 : 1)),
  );

  return {
    exports,
    targets,
    fromRoot,
    choosing: (namespace, labels) =>
      choosers
        .get(namespace)
        .filter((rule) => labelsMatch(rule.labels, labels))
        .map(({ key }) => key),
    among: (viewer, namespace) =>
      choosers
        .get(viewer.namespace)
        .filter(({ key, targets: places }) => {
          return viewer.rules?.includes(key) && (places.includes(namespace) || places.includes(anywhere));
        })
        .map(({ key }) => key),
  };
}

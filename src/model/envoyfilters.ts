import type { ConfigPatch, EnvoyFilterSpec } from "#api/istio/envoy-filter.ts";
import type { StringMap } from "#api/meta.ts";
import { ownValue } from "#api/record.ts";
import { foundByExpression } from "#api/re2.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { Config } from "./rows.ts";
import { isTarget, type Target, targetOf } from "./targets.ts";
import { only, type ServiceQueries } from "./services.ts";
import type { Tables } from "./tables.ts";

/** What a proxy tells of itself that EnvoyFilters ask for. */
export interface PatchedProxy {
  readonly namespace: string;
  readonly labels: StringMap;
  /** Texts of its node metadata. */
  readonly metadata: StringMap;
}

/** One patch of an EnvoyFilter, less what it does. */
export interface ChosenPatch {
  /** The object that has it: `EnvoyFilter/namespace/name`. */
  readonly filter: string;
  /** Its place in `configPatches`. */
  readonly index: number;
  readonly applyTo: string;
  readonly context: string;
  readonly operation: string;
}

type ProxyMatch = NonNullable<NonNullable<ConfigPatch["match"]>["proxy"]>;

/** For which proxies an EnvoyFilter is; what it does to them is left out, so that an edit of that moves no proxy. */
interface Outline {
  readonly target: Target;
  readonly patches: readonly (ChosenPatch & { readonly proxy: ProxyMatch })[];
}

/** Questions about EnvoyFilters. */
export interface EnvoyFilterQueries {
  /** An EnvoyFilter by `namespace/name`. */
  readonly filter: Query<string, Config<EnvoyFilterSpec> | undefined>;
  /** The patches that are for a proxy, in the order in which they are applied. */
  readonly chosen: (proxy: PatchedProxy) => readonly ChosenPatch[];
}

function outlineOf({ namespace, name, spec }: Config<EnvoyFilterSpec>): Outline {
  const { targetRefs = [], workloadSelector, configPatches = [] } = spec;
  const filter = `EnvoyFilter/${namespace}/${name}`;
  return {
    target: targetOf(namespace, workloadSelector?.labels, targetRefs),
    patches: configPatches.map(({ applyTo = "INVALID", match, patch }, index) => ({
      filter,
      index,
      applyTo,
      context: match?.context ?? "ANY",
      operation: patch?.operation ?? "INVALID",
      proxy: match?.proxy ?? {},
    })),
  };
}

function compare(a: number | string, b: number | string): number {
  return a < b ? -1 : Number(a > b);
}

/** The order of application: by priority, those of the root namespace first, the oldest first, by name. */
function inOrder(filters: readonly Config<EnvoyFilterSpec>[], root: string): readonly Config<EnvoyFilterSpec>[] {
  return filters.toSorted(
    (a, b) =>
      compare(a.spec.priority ?? 0, b.spec.priority ?? 0) ||
      Number(b.namespace === root) - Number(a.namespace === root) ||
      compare(a.created, b.created) ||
      compare(`${a.name}.${a.namespace}`, `${b.name}.${b.namespace}`),
  );
}

function proxyMatches({ proxyVersion = "", metadata = {} }: ProxyMatch, proxy: PatchedProxy): boolean {
  if (proxyVersion !== "") {
    // Expressions that are too long match no proxy, as in Istio.
    const version = ownValue(proxy.metadata, "ISTIO_VERSION") ?? "";
    if (version === "" || !foundByExpression(proxyVersion, version)) return false;
  }
  return Object.entries(metadata).every(([name, value]) => ownValue(proxy.metadata, name) === value);
}

/** Declares the queries about EnvoyFilters. */
export function envoyFilterQueries(engine: Engine, tables: Tables, services: ServiceQueries): EnvoyFilterQueries {
  const { rows, byNamespace } = tables.envoyFilters;
  const filter = engine.stringQuery("envoy-filter", (key) => rows.get(key));
  const outlines = engine.stringQuery("envoy-filter-outlines", (namespace): readonly Outline[] => {
    const root = services.mesh.get(only).rootNamespace;
    const own = namespace === root ? [] : byNamespace.rows(namespace);
    return inOrder([...byNamespace.rows(root), ...own], root).map(outlineOf);
  });
  return {
    filter,
    chosen: (proxy) =>
      outlines
        .get(proxy.namespace)
        .filter(({ target }) => isTarget(target, proxy))
        .flatMap(({ patches }) => patches)
        .filter((patch) => proxyMatches(patch.proxy, proxy))
        .map(({ proxy: _proxy, ...chosen }) => chosen),
  };
}

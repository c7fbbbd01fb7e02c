import type { TrafficExtensionSpec } from "#api/istio/traffic-extension.ts";
import type { WasmPluginSpec } from "#api/istio/wasm-plugin.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import type { Config } from "./rows.ts";
import { byAge } from "./service.ts";
import { only, type ServiceQueries } from "./services.ts";
import type { Tables } from "./tables.ts";
import { isTarget, type Target, targetOf } from "./targets.ts";

/** An object that puts a filter of its own among those of proxies. */
export type Extension =
  | { readonly kind: "WasmPlugin"; readonly row: Config<WasmPluginSpec> }
  | { readonly kind: "TrafficExtension"; readonly row: Config<TrafficExtensionSpec> };

/** For which proxies an extension is, and where it stands among others. */
interface Outline {
  readonly key: string;
  readonly target: Target;
  readonly phase: number;
  readonly priority: number;
}

/** Questions about WasmPlugins and TrafficExtensions. */
export interface ExtensionQueries {
  /** An extension by `kind/namespace/name`. */
  readonly extension: Query<string, Extension | undefined>;
  /** Keys of the extensions of a proxy, in the order of their filters. */
  readonly chosen: (proxy: { readonly namespace: string; readonly labels: StringMap }) => readonly string[];
}

/** Phases in the order of their filters; what names none comes after them. */
const phases: readonly string[] = ["AUTHN", "AUTHZ", "STATS"];

/** Of extensions without a priority, which come after all others of their phase, those below 0 too, as in Istio. */
const lowestPriority = -(2 ** 31);

function outlineOf({ kind, row: { namespace, name, spec } }: Extension): Outline {
  const { selector, targetRefs = [], phase = "", priority = lowestPriority } = spec;
  const single = "targetRef" in spec && spec.targetRef ? [spec.targetRef] : [];
  const place = phases.indexOf(phase);
  return {
    key: `${kind}/${namespace}/${name}`,
    target: targetOf(namespace, selector?.matchLabels, targetRefs.length > 0 ? targetRefs : single),
    phase: place < 0 ? phases.length : place,
    priority,
  };
}

/** Extensions of a namespace, the oldest first. */
function extensionsIn({ wasmPlugins, trafficExtensions }: Tables, namespace: string): readonly Extension[] {
  const all: readonly Extension[] = [
    ...wasmPlugins.byNamespace.rows(namespace).map((row) => ({ kind: "WasmPlugin", row }) as const),
    ...trafficExtensions.byNamespace.rows(namespace).map((row) => ({ kind: "TrafficExtension", row }) as const),
  ];
  return all.toSorted((a, b) => byAge(a.row, b.row));
}

/** Declares the queries about extensions. */
export function extensionQueries(engine: Engine, tables: Tables, services: ServiceQueries): ExtensionQueries {
  const { wasmPlugins, trafficExtensions } = tables;
  const extension = engine.stringQuery("extension", (key): Extension | undefined => {
    const [kind = "", namespace = "", name = ""] = key.split("/");
    const plugin = kind === "WasmPlugin" ? wasmPlugins.rows.get(`${namespace}/${name}`) : undefined;
    if (plugin) return { kind: "WasmPlugin", row: plugin };
    const row = kind === "TrafficExtension" ? trafficExtensions.rows.get(`${namespace}/${name}`) : undefined;
    return row && { kind: "TrafficExtension", row };
  });
  const outlines = engine.stringQuery("extension-outlines", (namespace): readonly Outline[] => {
    const root = services.mesh.get(only).rootNamespace;
    return [...new Set([namespace, root])]
      .flatMap((each) => extensionsIn(tables, each))
      .map(outlineOf)
      .toSorted((a, b) => a.phase - b.phase || b.priority - a.priority);
  });
  return {
    extension,
    chosen: (proxy) =>
      outlines
        .get(proxy.namespace)
        .filter(({ target }) => isTarget(target, proxy))
        .map(({ key }) => key),
  };
}

import { type EncodedResource, type TypeUrl, typeUrls } from "#proto/encoded.ts";
import type { NodeInfo } from "./proxy-class.ts";
import type { Translator } from "./translator.ts";

/** Everything that a proxy gets, by type and name. */
export type ProxyResources = Readonly<Record<keyof typeof typeUrls, ReadonlyMap<string, EncodedResource>>>;

/** Names that resources wait for. */
export function awaited(resources: ReadonlyMap<string, EncodedResource>): readonly string[] {
  return [...resources.values()].flatMap((resource) => resource.awaits);
}

/** Scopes of the virtual hosts that belong to route configurations. */
export function hostScopes(
  translator: Translator,
  scopes: readonly string[],
  configurations: ReadonlyMap<string, EncodedResource>,
): readonly string[] {
  return scopes.flatMap((scope) =>
    [...configurations.keys()].flatMap((name) => translator.hostScope(scope, name) ?? []),
  );
}

function resourceIn(translator: Translator, scopes: readonly string[], name: string): EncodedResource | undefined {
  for (const scope of scopes) {
    const found = translator.resource.get({ scope, name });
    if (found) return found;
  }
  return undefined;
}

/** One resource that a proxy gets, if it does; nothing else is worked out. */
export function resourceOf(translator: Translator, node: NodeInfo, type: TypeUrl, name: string) {
  return resourceIn(translator, translator.scopes.get(translator.classOf(node))[type], name);
}

/**
 * What proxies of a class get, read in one go: clusters, listeners and names as a whole, endpoints and routes that these
 * ask for.
 */
export function classResources(translator: Translator, proxyClass: string): ProxyResources {
  const scopes = translator.scopes.get(proxyClass);
  const all = (keys: readonly string[]): ReadonlyMap<string, EncodedResource> => {
    const found = new Map<string, EncodedResource>();
    for (const scope of keys) {
      for (const name of translator.names.get(scope)) {
        const resource = found.has(name) ? undefined : translator.resource.get({ scope, name });
        if (resource) found.set(name, resource);
      }
    }
    return found;
  };
  const named = (type: TypeUrl, names: readonly string[]): ReadonlyMap<string, EncodedResource> => {
    const found = [...new Set(names)].toSorted().flatMap((name) => {
      const resource = resourceIn(translator, scopes[type], name);
      return resource ? [[name, resource] as const] : [];
    });
    return new Map(found);
  };
  const cluster = all(scopes[typeUrls.cluster]);
  const listener = all(scopes[typeUrls.listener]);
  const route = named(typeUrls.route, awaited(listener));
  return {
    cluster,
    listener,
    endpoints: named(typeUrls.endpoints, awaited(cluster)),
    route,
    virtualHost: all(hostScopes(translator, scopes[typeUrls.virtualHost], route)),
    secret: all(scopes[typeUrls.secret]),
    extension: all(scopes[typeUrls.extension]),
    nameTable: all(scopes[typeUrls.nameTable]),
    bootstrap: all(scopes[typeUrls.bootstrap]),
  };
}

/** What one proxy gets. */
export function resourcesOf(translator: Translator, node: NodeInfo): ProxyResources {
  return classResources(translator, translator.classOf(node));
}

import { isWildcard } from "#api/istio/hosts.ts";

/** The DNS suffix of Kubernetes services. */
export const clusterDomain = "cluster.local";

/** `reviews.shop.svc.cluster.local`. */
export function serviceHost(name: string, namespace: string): string {
  return `${name}.${namespace}.svc.${clusterDomain}`;
}

/** Name and namespace of a Kubernetes service's host, or undefined for another host. */
export function parseServiceHost(host: string): { readonly name: string; readonly namespace: string } | undefined {
  const parts = host.split(".");
  if (parts.length < 5 || parts.slice(2).join(".") !== `svc.${clusterDomain}`) return undefined;
  return { name: parts[0] ?? "", namespace: parts[1] ?? "" };
}

/**
 * The full host name that a name in an Istio object means: a name without dots is a service of the object's
 * namespace, everything else is full already.
 */
export function resolveHost(host: string, namespace: string): string {
  if (host === "" || host === "*" || host.includes(".") || host.includes(":")) return host;
  return serviceHost(host, namespace);
}

/** Order of specificity: full names before wildcards, longer wildcards before shorter ones, then by text. */
export function compareHosts(a: string, b: string): number {
  if (isWildcard(a) !== isWildcard(b)) return isWildcard(a) ? 1 : -1;
  if (isWildcard(a) && a.length !== b.length) return b.length - a.length;
  return a < b ? -1 : Number(a > b);
}

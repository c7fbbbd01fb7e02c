/** What a simulated proxy must hold, worked out from the definition of the served mesh and nothing else. */
import { typeUrls } from "#proto/encoded.ts";
import { placeholderName } from "#proto/placeholder-host.ts";
import type { ServedScale } from "./served.ts";

/** Names by type. */
export type Names = ReadonlyMap<string, ReadonlySet<string>>;

/** Whether the proxy with a number is told of a service: a Sidecar leaves its namespace's own services. */
export function sees(proxy: number, service: number, { namespaces, sidecars }: ServedScale): boolean {
  const namespace = proxy % namespaces;
  return namespace >= sidecars || service % namespaces === namespace;
}

/** All that the proxy with a number must hold, by type: what its namespace sees, and what serves its own workload. */
export function expectedNames(proxy: number, scale: ServedScale): Names {
  const hosts = Array.from({ length: scale.services }, (_, service) => service)
    .filter((service) => sees(proxy, service, scale))
    .map((service) => `svc-${service}.ns-${service % scale.namespaces}.svc.cluster.local`);
  const clusters = hosts.map((host) => `outbound|80||${host}`);
  const inbound = proxy < scale.services ? ["inbound|80||"] : [];
  const fixed = ["BlackHoleCluster", "InboundPassthroughCluster", "PassthroughCluster"];
  return new Map([
    [typeUrls.cluster, new Set([...clusters, ...inbound, ...fixed])],
    [typeUrls.endpoints, new Set(clusters)],
    [typeUrls.listener, new Set(["0.0.0.0_80", "virtualOutbound", "virtualInbound"])],
    [typeUrls.route, new Set(["80"])],
    // The last one is for no request: Envoys that can ask for hosts have it in each configuration.
    [typeUrls.virtualHost, new Set([...hosts.map((host) => `80/${host}:80`), "80/allow_any", placeholderName("80")])],
  ]);
}

function some(names: readonly string[]): string {
  return `${names.slice(0, 3).join(", ")}${names.length > 3 ? `, and ${names.length - 3} more` : ""}`;
}

/** How what a proxy holds differs from what it must hold; nothing when it is the same. */
export function difference(held: ReadonlyMap<string, ReadonlyMap<string, unknown>>, expected: Names): string[] {
  const none: ReadonlyMap<string, unknown> = new Map();
  return [...new Set([...held.keys(), ...expected.keys()])].flatMap((type) => {
    const [has, must] = [held.get(type) ?? none, expected.get(type) ?? new Set<string>()];
    const missing = [...must].filter((name) => !has.has(name));
    const extra = [...has.keys()].filter((name) => !must.has(name));
    return [
      ...(missing.length > 0 ? [`lacks of ${type}: ${some(missing)}`] : []),
      ...(extra.length > 0 ? [`should not hold of ${type}: ${some(extra)}`] : []),
    ];
  });
}

import type { VirtualHost } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import type { RouteConfiguration } from "#proto/gen/envoy/config/route/v3/route_pb.js";

/** How well a domain fits a host: the kind of domain first, then its length; nothing where it does not fit. */
function fitness(domain: string, host: string): readonly [number, number] | undefined {
  if (domain === host) return [3, domain.length];
  if (domain === "*") return [0, 0];
  // A wildcard stands for one character at the least.
  if (domain.startsWith("*") && host.length >= domain.length && host.endsWith(domain.slice(1)))
    return [2, domain.length];
  if (domain.endsWith("*") && host.length >= domain.length && host.startsWith(domain.slice(0, -1))) {
    return [1, domain.length];
  }
  return undefined;
}

function withoutPort(host: string): string {
  return host.replace(/:\d+$/, "");
}

/**
 * The virtual host that takes requests for a host: the exact domain, then the longest `*.suffix`, the longest
 * `prefix.*`, then `*`. Rules: `envoy.config.route.v3.VirtualHost.domains`.
 */
export function virtualHostFor(routes: RouteConfiguration, authority: string): VirtualHost | undefined {
  const host = (routes.ignorePortInHostMatching ? withoutPort(authority) : authority).toLowerCase();
  let best: { readonly at: readonly [number, number]; readonly virtualHost: VirtualHost } | undefined;
  for (const virtualHost of routes.virtualHosts) {
    for (const domain of virtualHost.domains) {
      const at = fitness(domain.toLowerCase(), host);
      if (at && (!best || at[0] > best.at[0] || (at[0] === best.at[0] && at[1] > best.at[1])))
        best = { at, virtualHost };
    }
  }
  return best?.virtualHost;
}

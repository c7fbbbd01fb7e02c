import type { HeldHosts } from "../rows.ts";
import type { Problem } from "./finding.ts";

/**
 * What is wrong with an EgressScope: that it declares hosts of which nothing is. Learned ones are nobody's mistake.
 * @param unknown hosts of the object of which nothing in the mesh is.
 */
export function egressScopeProblems({ hosts, declared }: HeldHosts, unknown: readonly string[]): readonly Problem[] {
  return hosts.slice(0, declared).flatMap((host, index) => {
    if (!unknown.includes(host)) return [];
    const message = `No service and no VirtualService has the host ${host}. Write a full name, such as reviews.shop.svc.cluster.local, or take it out.`;
    return [{ code: "UnknownHost", severity: "warning", field: `spec.hosts[${index}].host`, message } as const];
  });
}

import type { Finding } from "#api/finding.ts";
import type { HTTPMatchRequest } from "#api/istio/http-match.ts";
import type { HTTPRoute } from "#api/istio/http-route.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { ObjectRef } from "#api/meta.ts";
import { matchesEverything, routeMatch } from "./match.ts";

/** Whether a match looks at where requests come from. */
function isPlaced({ port = 0, sourceLabels, sourceNamespace = "", gateways }: HTTPMatchRequest): boolean {
  const labels = Object.keys(sourceLabels ?? {}).length;
  return port !== 0 || labels > 0 || sourceNamespace !== "" || (gateways ?? []).length > 0;
}

/** Whether a route takes every request, from everywhere. */
function takesAll({ match = [], delegate }: HTTPRoute): boolean {
  if (delegate) return false;
  return match.length === 0 || match.some((each) => !isPlaced(each) && matchesEverything(routeMatch(each)));
}

/** The first route that nothing can reach, since one before it takes every request. */
function unreachable(resource: ObjectRef, http: readonly HTTPRoute[]): readonly Finding[] {
  const last = http.findIndex(takesAll);
  if (last < 0 || last === http.length - 1) return [];
  const message = `No request gets here: spec.http[${last}] takes all of them. Put it last.`;
  return [{ code: "UnreachableRoute", severity: "warning", resource, field: `spec.http[${last + 1}]`, message }];
}

/** Routes of connections, which are not carried out yet. */
function connections(resource: ObjectRef, spec: VirtualServiceSpec): readonly Finding[] {
  return (["tls", "tcp"] as const)
    .filter((field) => (spec[field] ?? []).length > 0)
    .map((field) => ({
      code: "NotImplemented",
      severity: "warning",
      resource,
      field: `spec.${field}`,
      message: `Routes under ${field} have no effect yet; connections go to the service that they are for.`,
    }));
}

/** What a VirtualService says to no effect. */
export function ruleFindings(resource: ObjectRef, spec: VirtualServiceSpec): readonly Finding[] {
  return [...unreachable(resource, spec.http ?? []), ...connections(resource, spec)];
}

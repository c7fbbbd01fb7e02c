import type { Finding } from "#api/finding.ts";
import type { HTTPMatchRequest } from "#api/istio/http-match.ts";
import type { HTTPRoute } from "#api/istio/http-route.ts";
import type { L4MatchAttributes, TCPRoute, TLSRoute, VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { ObjectRef } from "#api/meta.ts";
import { matchesEverything, routeMatch } from "./match.ts";

/** Whether a match looks at where requests or connections come from. */
function isPlaced(match: HTTPMatchRequest | L4MatchAttributes): boolean {
  const { port = 0, sourceLabels, sourceNamespace = "", gateways } = match;
  const labels = Object.keys(sourceLabels ?? {}).length;
  return port !== 0 || labels > 0 || sourceNamespace !== "" || (gateways ?? []).length > 0;
}

/** Whether a route takes every request, from everywhere. */
function takesAll({ match = [], delegate }: HTTPRoute): boolean {
  if (delegate) return false;
  return match.length === 0 || match.some((each) => !isPlaced(each) && matchesEverything(routeMatch(each)));
}

/** Whether a route takes every connection, from everywhere. */
function takesAllConnections({ match = [] }: TCPRoute): boolean {
  return match.length === 0 || match.some((each) => !isPlaced(each) && (each.destinationSubnets ?? []).length === 0);
}

/** The first route that nothing can reach, since the one at `last` takes everything. */
function unreachable(resource: ObjectRef, list: "http" | "tcp", last: number, count: number): readonly Finding[] {
  if (last < 0 || last === count - 1) return [];
  const what = list === "http" ? "request" : "connection";
  const message = `No ${what} gets here: spec.${list}[${last}] takes all of them. Put it last.`;
  return [{ code: "UnreachableRoute", severity: "warning", resource, field: `spec.${list}[${last + 1}]`, message }];
}

/** Server names that no proxy can match. */
function unmatchable(resource: ObjectRef, tls: readonly TLSRoute[]): readonly Finding[] {
  return tls.flatMap(({ match }, at) =>
    match.flatMap(({ sniHosts }, index) =>
      sniHosts
        .filter((name) => name.startsWith("*") && name !== "*" && !name.startsWith("*."))
        .map((name): Finding => {
          const message = `Proxies cannot match ${name}: a wildcard must be a whole label. Use *${name.slice(name.indexOf("."))}.`;
          const field = `spec.tls[${at}].match[${index}].sniHosts`;
          return { code: "UnmatchableServerName", severity: "error", resource, field, message };
        }),
    ),
  );
}

/** What a VirtualService says to no effect. */
export function ruleFindings(
  resource: ObjectRef,
  { http = [], tls = [], tcp = [] }: VirtualServiceSpec,
): readonly Finding[] {
  return [
    ...unreachable(resource, "http", http.findIndex(takesAll), http.length),
    ...unreachable(resource, "tcp", tcp.findIndex(takesAllConnections), tcp.length),
    ...unmatchable(resource, tls),
  ];
}

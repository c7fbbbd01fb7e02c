import {
  type Route,
  RouteSchema,
  type VirtualHost,
  VirtualHostSchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { type RouteConfiguration, RouteConfigurationSchema } from "#proto/gen/envoy/config/route/v3/route_pb.js";
import { parseClusterName } from "../names.ts";
import type { PatchTools } from "./filters.ts";
import { copyOfValue, type ItemMatch, patchedList } from "./list.ts";
import { mergeMessage } from "#proto/merge.ts";
import { isMerge, type Match, type Patch } from "./patch.ts";
import { listsOf } from "./transport.ts";

/** What of a gateway's proxy its route configurations are matched by. */
export interface GatewayPorts {
  /** Ports of the gateway's Service by the port on which the proxy listens. */
  readonly servicePorts: ReadonlyMap<number, readonly number[]>;
}

/** What the name of a gateway's route configuration says: `http.8080`, `https.8443.web.edge.shop`. */
function gatewayRoute(name: string): { readonly port: number; readonly portName: string; readonly gateway: string } {
  const [kind = "", port = "", portName = "", gateway = "", namespace = ""] = name.split(".");
  if (kind === "http") return { port: Number(port), portName: "", gateway: "" };
  return { port: Number(port), portName, gateway: gateway === "" ? "" : `${namespace}/${gateway}` };
}

/** The port that the name of a sidecar's route configuration says, as Istio reads it; 0 for none. */
function sidecarPort(name: string): number {
  return name.startsWith("inbound") ? (parseClusterName(name)?.port ?? 0) : /^\d+$/.test(name) ? Number(name) : 0;
}

/** Whether a patch is for a route configuration, or for something in it. */
export function meetsRoutes(name: string, { routeConfiguration: wanted }: Match, ports?: GatewayPorts): boolean {
  const { name: wantedName = "", portNumber = 0, portName = "", gateway = "" } = wanted ?? {};
  if (wantedName !== "" && wantedName !== name) return false;
  if (!ports) return portNumber === 0 || portNumber === sidecarPort(name);
  const made = gatewayRoute(name);
  return (
    (portName === "" || portName === made.portName) &&
    (gateway === "" || gateway === made.gateway) &&
    (portNumber === 0 || (ports.servicePorts.get(made.port) ?? [made.port]).includes(portNumber))
  );
}

function meetsHost({ name, domains }: VirtualHost, { routeConfiguration }: Match): boolean {
  const { name: wanted = "", domainName = "" } = routeConfiguration?.vhost ?? {};
  return (wanted === "" || wanted === name) && (domainName === "" || domains.includes(domainName));
}

const actions: Readonly<Record<string, string>> = {
  route: "ROUTE",
  redirect: "REDIRECT",
  directResponse: "DIRECT_RESPONSE",
};

function routeMatch({ routeConfiguration }: Match): ItemMatch<Route> {
  const wanted = routeConfiguration?.vhost?.route;
  const { name = "", action = "ANY" } = wanted ?? {};
  return {
    named: wanted !== undefined,
    matches: (route) => {
      if (name !== "" && name !== route.name) return false;
      const does = actions[route.action.case ?? ""];
      return action === "ANY" || does === undefined || does === action;
    },
  };
}

/** A list of routes after a patch that adds to it. */
function withAdded(routes: Route[], patch: Patch<"HTTP_ROUTE">): Route[] {
  const { operation } = patch;
  const found = routeMatch(patch.match);
  if (operation !== "ADD" && !operation.startsWith("INSERT_")) return routes;
  // Unlike filters, a route goes first only where the one that is asked for is there.
  if (operation === "INSERT_FIRST" && found.named && !routes.some(found.matches)) return routes;
  return patchedList(routes, patch, found);
}

/** Merges into a route what is for it; nothing is left where a patch takes it away. */
function patchedRoute(route: Route, patches: readonly Patch<"HTTP_ROUTE">[]): readonly Route[] {
  for (const patch of patches) {
    if (!routeMatch(patch.match).matches(route)) continue;
    if (patch.operation === "REMOVE") return [];
    if (isMerge(patch.operation)) mergeMessage(RouteSchema, route, patch.value, listsOf(patch.operation));
  }
  return [route];
}

function patchHttpRoutes(host: VirtualHost, all: readonly Patch<"HTTP_ROUTE">[]): void {
  const patches = all.filter(({ match }) => meetsHost(host, match));
  host.routes = host.routes.flatMap((route) => patchedRoute(route, patches));
  for (const patch of patches) host.routes = withAdded(host.routes, patch);
}

/** The virtual host after the patches for it; undefined when one takes it away. */
function patchedHost(made: VirtualHost, patches: readonly Patch<"VIRTUAL_HOST">[]): VirtualHost | undefined {
  let host = made;
  for (const patch of patches) {
    if (!meetsHost(host, patch.match)) continue;
    if (patch.operation === "REMOVE") return undefined;
    if (isMerge(patch.operation)) mergeMessage(VirtualHostSchema, host, patch.value, listsOf(patch.operation));
    else if (patch.operation === "REPLACE") host = copyOfValue("VIRTUAL_HOST", patch.value);
  }
  return host;
}

/**
 * Applies the patches for a route configuration and all that is in it.
 * @param ports given for gateways.
 */
export function patchRoutes(routes: RouteConfiguration, { patches, context }: PatchTools, ports?: GatewayPorts): void {
  const { name } = routes;
  const meets = ({ match }: Patch): boolean => meetsRoutes(name, match, ports);
  for (const patch of patches.of("ROUTE_CONFIGURATION", context).filter(meets)) {
    if (patch.operation !== "REMOVE" && isMerge(patch.operation)) {
      mergeMessage(RouteConfigurationSchema, routes, patch.value, listsOf(patch.operation));
    }
  }
  // Listeners ask for it by this name.
  routes.name = name;
  const hostPatches = patches.of("VIRTUAL_HOST", context).filter(meets);
  const routePatches = patches.of("HTTP_ROUTE", context).filter(meets);
  const removed = new Set<string>();
  const kept = routes.virtualHosts.flatMap((made) => {
    const host = patchedHost(made, hostPatches);
    if (host) patchHttpRoutes(host, routePatches);
    else removed.add(made.name);
    return host ?? [];
  });
  const added = hostPatches.flatMap((patch) =>
    patch.operation === "ADD" ? [copyOfValue("VIRTUAL_HOST", patch.value)] : [],
  );
  // What is removed goes with all that has its name, also what is added, as in Istio.
  routes.virtualHosts = [...kept, ...added].filter((host) => !removed.has(host.name));
}

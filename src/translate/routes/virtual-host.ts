import { create } from "@bufbuild/protobuf";
import {
  type Route,
  RouteSchema,
  type VirtualHost,
  VirtualHostSchema,
} from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { noDuration } from "../duration.ts";
import { clusterName, lookedUpCluster } from "../names.ts";
import { isDropped, type UnclaimedTraffic } from "../unclaimed.ts";
import { hashPolicies } from "./hash-policy.ts";
import { routeMatch } from "./match.ts";
import { directResponseAction } from "./direct-response.ts";
import { type Destinations, destinationHash } from "./destination.ts";
import { retryPolicy } from "./retry.ts";
import type { RouteDefaults } from "./rule.ts";
import { timeouts } from "./timeout.ts";

/** `reviews.shop.svc.cluster.local:9080`. */
export function virtualHostName(host: string, port: number): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** The route of a service without a VirtualService: everything, to all of its endpoints. */
export function defaultRoute(host: string, port: number, known: Destinations, defaults: RouteDefaults): Route {
  const hashPolicy = hashPolicies(destinationHash({ host, port: { number: port } }, port, known));
  return create(RouteSchema, {
    name: "default",
    match: routeMatch(undefined),
    action: {
      case: "route",
      value: {
        clusterSpecifier: { case: "cluster", value: clusterName("outbound", port, "", host) },
        ...timeouts(undefined),
        retryPolicy: retryPolicy(defaults.retries, hashPolicy.length > 0),
        hashPolicy,
      },
    },
    decorator: { operation: `${virtualHostName(host, port)}/*` },
  });
}

/** A virtual host as all of ours are: it tells the backend which attempt a request is, unless the mesh wants otherwise. */
export function virtualHost(
  name: string,
  domains: readonly string[],
  routes: readonly Route[],
  { countsAttempts = true }: Pick<RouteDefaults, "countsAttempts">,
): VirtualHost {
  return create(VirtualHostSchema, {
    name,
    domains: [...domains],
    routes: [...routes],
    includeRequestAttemptCount: countsAttempts,
  });
}

/** The last virtual host of an outbound route configuration: on to where the client wanted to go, to the host that it asked for, or 502. */
export function catchAll(unclaimed: UnclaimedTraffic, defaults: RouteDefaults): VirtualHost {
  const allowed = !isDropped(unclaimed);
  const { looksUp } = unclaimed;
  const name = looksUp ? "allow_any_dynamic_dns" : allowed ? "allow_any" : "block_all";
  const route = create(RouteSchema, {
    name,
    match: routeMatch(undefined),
    action: allowed
      ? {
          case: "route",
          value: {
            clusterSpecifier: { case: "cluster", value: looksUp ? lookedUpCluster : unclaimed.cluster },
            timeout: noDuration,
            maxGrpcTimeout: noDuration,
          },
        }
      : { case: "directResponse", value: directResponseAction({ status: 502 }) },
  });
  return virtualHost(name, ["*"], [route], defaults);
}

/** Plans of virtual hosts by their names, in their order. */
export function byName<Plan extends { readonly name: string }>(plans: readonly Plan[]): ReadonlyMap<string, Plan> {
  return new Map(plans.map((plan) => [plan.name, plan]));
}

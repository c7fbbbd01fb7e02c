import type { HTTPRetry, HTTPRoute } from "#api/istio/http-route.ts";
import type { ObjectRef } from "#api/meta.ts";
import type { MeshSettings } from "#model/mesh.ts";
import type { TraceStep } from "../trace.ts";

/** A VirtualService as routing reads it: host names resolved to full ones, delegates merged in. */
export interface RoutingRule {
  /** The VirtualService. */
  readonly ref: ObjectRef;
  readonly http: readonly HTTPRoute[];
  /** For each of them, where it is written. */
  readonly origins: readonly RouteOrigin[];
}

/** Where a route is written. */
export interface RouteOrigin {
  /** The route's own place last, before it that of the route that delegates to it. */
  readonly steps: readonly TraceStep[];
  /** Whether the route's matches are those of the object, in its order; a delegate's are merged with its root's. */
  readonly ownMatches: boolean;
}

/** What the mesh's configuration says of all routes. */
export interface RouteDefaults {
  /** Istio's `defaultHttpRetryPolicy`; Istio's own default where undefined. */
  readonly retries?: HTTPRetry;
  /** Whether requests tell which attempt they are; they do unless this is false. */
  readonly countsAttempts?: boolean;
  /** Whether requests whose host is rewritten tell the host that the caller asked for. */
  readonly forwardsHost?: boolean;
}

/** What the mesh's configuration says of all routes. */
export function routeDefaults({
  defaultHttpRetryPolicy: retries,
  defaultConfig: { proxyHeaders },
}: MeshSettings): RouteDefaults {
  return {
    ...(retries && { retries }),
    ...(proxyHeaders?.attemptCount?.disabled === true && { countsAttempts: false }),
    ...(proxyHeaders?.xForwardedHost?.enabled === true && { forwardsHost: true }),
  };
}

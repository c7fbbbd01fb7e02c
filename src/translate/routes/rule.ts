import type { HTTPRetry, HTTPRoute } from "#api/istio/http-route.ts";
import type { ObjectRef } from "#api/meta.ts";

/** A VirtualService as routing reads it: host names resolved to full ones, delegates merged in. */
export interface RoutingRule {
  /** The VirtualService. */
  readonly ref: ObjectRef;
  readonly http: readonly HTTPRoute[];
}

/** What the mesh's configuration says of all routes. */
export interface RouteDefaults {
  /** Istio's `defaultHttpRetryPolicy`; Istio's own default where undefined. */
  readonly retries?: HTTPRetry;
}

import type { Filter } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import type { HttpFilter } from "#proto/gen/envoy/extensions/filters/network/http_connection_manager/v3/http_connection_manager_pb.js";

/** What policies put before all else that requests and connections pass. */
export interface SecurityFilters {
  readonly http: readonly HttpFilter[];
  /** Of connections that are not HTTP. */
  readonly network: readonly Filter[];
}

/** Where no policy is for a proxy. */
export const unsecured: SecurityFilters = { http: [], network: [] };

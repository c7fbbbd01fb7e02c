/** Names of Envoy's filters that carry out AuthorizationPolicies, as users of EnvoyFilter know them. */

/** Decides about requests. */
export const httpRbacName = "envoy.filters.http.rbac";
/** Decides about connections. */
export const networkRbacName = "envoy.filters.network.rbac";
/** Asks an external authorizer about requests. */
export const httpAuthorizerName = "envoy.filters.http.ext_authz";
/** Asks an external authorizer about connections. */
export const networkAuthorizerName = "envoy.filters.network.ext_authz";

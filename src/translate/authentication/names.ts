/** The filter that verifies tokens, under whose name it leaves what they say in a request's metadata. */
export const jwtFilterName = "envoy.filters.http.jwt_authn";

/** The member of that metadata that holds a token's claims. */
export const payloadKey = "payload";

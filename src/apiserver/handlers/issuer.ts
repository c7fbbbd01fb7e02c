import type { Reply } from "../reply.ts";
import type { ServiceAccountTokens } from "../tokens/service-account-tokens.ts";
import { algorithm } from "../tokens/issuer-keys.ts";
import { methodNotAllowed } from "../status.ts";
import type { Call } from "./call.ts";

/** How long the documents may be kept: shorter than a new key is published before it signs. */
const cacheControl = "public, max-age=3600";

const configurationPath = "/.well-known/openid-configuration";
const keysPath = "/openid/v1/jwks";

/** Paths that tell how to check tokens of the cluster's service accounts. */
export const issuerPaths: readonly string[] = [configurationPath, keysPath];

/** Where tokens can be checked (OpenID Connect Discovery 1.0, 4.2), as far as Kubernetes tells it. */
function configuration({ issuer }: ServiceAccountTokens): object {
  return {
    issuer,
    jwks_uri: `${issuer}${keysPath}`,
    response_types_supported: ["id_token"],
    subject_types_supported: ["public"],
    id_token_signing_alg_values_supported: [algorithm],
  };
}

/** Answers the documents by which others check the cluster's tokens; undefined for any other path. */
export async function handleIssuer(call: Call): Promise<Reply | undefined> {
  const { tokens } = call.context;
  if (tokens === undefined || !issuerPaths.includes(call.pathname)) return undefined;
  if (call.method !== "GET" && call.method !== "HEAD") throw methodNotAllowed();
  const keys = call.pathname === keysPath;
  return {
    kind: "text",
    code: 200,
    text: JSON.stringify(keys ? await tokens.keys.jwks() : configuration(tokens)),
    type: keys ? "application/jwk-set+json" : "application/json",
    headers: { "Cache-Control": cacheControl },
  };
}

/** The mesh of the benchmark of identity and policies: one workload that calls, and one to be called for each mode. */
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { stringify } from "yaml";
import type { WorldSpec } from "../test/behaviour/world.ts";

/** How the calls to a workload are secured; each is the one before and more. The workload and its namespace have this name. */
export const modes = ["plaintext", "mtls", "policies", "tokens"] as const;

/** One of them. */
export type Mode = (typeof modes)[number];

/** What is measured of each, in words. */
export const modeTexts: Readonly<Record<Mode, string>> = {
  plaintext: "plaintext (PeerAuthentication DISABLE)",
  mtls: "mTLS (STRICT)",
  policies: "mTLS and ten AuthorizationPolicies",
  tokens: "mTLS, ten AuthorizationPolicies, RequestAuthentication",
};

/** The identity of the workload that calls. */
export const callerId = "spiffe://cluster.local/ns/client/sa/client";

/** The token that all requests carry, and the keys by which it is checked, as a text. */
export interface Token {
  readonly text: string;
  readonly jwks: string;
}

const issuer = "https://issuer.test";

/** A token of an hour, signed with RSA of 2,048 bits. */
export async function makeToken(now: number): Promise<Token> {
  const { publicKey, privateKey } = await generateKeyPair("RS256");
  const seconds = Math.floor(now / 1000);
  const claims = { iss: issuer, sub: "alice", aud: "shop", iat: seconds, exp: seconds + 3600, groups: ["staff"] };
  const text = await new SignJWT(claims).setProtectedHeader({ alg: "RS256", kid: "one" }).sign(privateKey);
  return { text, jwks: JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "one", alg: "RS256" }] }) };
}

/** An object of Istio's security API, as YAML. */
function security(kind: string, namespace: string, name: string, spec: object): string {
  return stringify({ apiVersion: "security.istio.io/v1", kind, metadata: { namespace, name }, spec });
}

/** A policy's action and its only rule: from whom, to what, when. */
type Policy = readonly [action: "ALLOW" | "DENY", rule: Readonly<Record<string, unknown>>];

const principal = (name: string): string => `cluster.local/ns/${name}`;

/** Ten policies of one workload, of which only the last lets the benchmark's requests in. */
function tenPolicies(mode: Mode): readonly Policy[] {
  const claims = mode === "tokens" ? [{ key: "request.auth.claims[groups]", values: ["staff"] }] : [];
  const alice = mode === "tokens" ? { requestPrincipals: [`${issuer}/alice`] } : {};
  const items = { methods: ["GET"], paths: ["/items/*"] };
  return [
    ["DENY", { from: [{ source: { ipBlocks: ["192.0.2.0/24", "198.51.100.0/24"] } }] }],
    ["DENY", { from: [{ source: { principals: [principal("bank/sa/*"), "*/sa/rogue"] } }] }],
    [
      "DENY",
      { from: [{ source: { notNamespaces: ["client", "orders"] } }], to: [{ operation: { methods: ["POST"] } }] },
    ],
    ["DENY", { to: [{ operation: { paths: ["/admin", "/admin/*", "*/debug"] } }] }],
    ["DENY", { to: [{ operation: { hosts: ["*.internal", "legacy.example"] } }] }],
    ["DENY", { when: [{ key: "request.headers[x-legacy]", values: ["*"] }] }],
    ["ALLOW", { from: [{ source: { namespaces: ["metrics"] } }], to: [{ operation: { paths: ["/metrics"] } }] }],
    ["ALLOW", { from: [{ source: { principals: [principal("ops/sa/admin")] } }] }],
    ["ALLOW", { from: [{ source: { namespaces: ["orders"] } }], to: [{ operation: { paths: ["/items/{*}/stock"] } }] }],
    [
      "ALLOW",
      {
        from: [{ source: { principals: [principal("client/sa/client")], ...alice } }],
        to: [{ operation: items }],
        ...(claims.length > 0 && { when: claims }),
      },
    ],
  ];
}

function objectsOf(mode: Mode, { jwks }: Token): readonly string[] {
  const tls = mode === "plaintext" ? "DISABLE" : "STRICT";
  const peers = security("PeerAuthentication", mode, "default", { mtls: { mode: tls } });
  if (mode === "plaintext" || mode === "mtls") return [peers];
  const policies = tenPolicies(mode).map(([action, rule], at) =>
    security("AuthorizationPolicy", mode, `policy-${at}`, {
      selector: { matchLabels: { app: mode } },
      action,
      rules: [rule],
    }),
  );
  if (mode === "policies") return [peers, ...policies];
  return [peers, ...policies, security("RequestAuthentication", mode, "users", { jwtRules: [{ issuer, jwks }] })];
}

/** The mesh: each workload has a namespace, a proxy, and a certificate of its own. */
export function securityMesh(token: Token): WorldSpec {
  return {
    proxies: ["client", ...modes].map((name) => ({ name, namespace: name, labels: { app: name }, identity: name })),
    services: modes.map((mode) => ({
      name: mode,
      namespace: mode,
      servedBy: [mode],
      ports: [{ name: "http", port: 80, to: "http" }],
    })),
    istio: modes.flatMap((mode) => objectsOf(mode, token)),
  };
}

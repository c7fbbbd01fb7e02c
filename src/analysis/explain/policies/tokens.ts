import { constants, createPublicKey, verify, type webcrypto } from "node:crypto";
import type {
  JwtAuthentication,
  JwtProvider,
} from "#proto/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { nobodysKeys } from "#model/key-set.ts";
import { type Call, type Claims, headerOf, isUnknown, type Maybe } from "./call.ts";
import type { Unknown } from "./truth.ts";

/** What becomes of a request by its tokens. */
export type TokenVerdict =
  | { readonly kind: "none" }
  | { readonly kind: "good"; readonly issuer: string; readonly claims: Claims; readonly taken: readonly string[] }
  | {
      readonly kind: "refused";
      readonly status: 401 | 403;
      readonly why: string;
      /** Of the rule that refuses it; undefined where no rule is for its issuer. */
      readonly issuer?: string;
    }
  | { readonly kind: "unknown"; readonly unknown: Unknown };

/** Seconds by which clocks may differ, as Envoy has it unless told. */
const skew = 60;

/** Algorithms of tokens (RFC 7518, RFC 8037), and their hashes by what they end with. */
const algorithms = /^(?:(?:RS|PS|ES)(?:256|384|512)|EdDSA)$/;
const hashes: Readonly<Record<string, string>> = { 256: "sha256", 384: "sha384", 512: "sha512" };

/** A key of a JSON Web Key Set (RFC 7517). */
type Key = webcrypto.JsonWebKey & { readonly kid?: string };

interface Token {
  readonly header: { readonly alg?: string; readonly kid?: string };
  readonly claims: Claims;
  readonly signed: string;
  readonly signature: Buffer;
}

function decoded(text: string): Token | undefined {
  const [head = "", body = "", signature = "", ...more] = text.split(".");
  if (more.length > 0) return undefined;
  try {
    const [header, claims] = [head, body].map((part): unknown => JSON.parse(Buffer.from(part, "base64url").toString()));
    if (typeof header !== "object" || header === null || typeof claims !== "object" || claims === null)
      return undefined;
    const found = { header, claims: claims as Claims, signature: Buffer.from(signature, "base64url") };
    return { ...found, signed: `${head}.${body}` };
  } catch {
    return undefined;
  }
}

function isSignedBy({ header: { alg = "" }, signed, signature }: Token, jwk: Key): boolean {
  if (!algorithms.test(alg) || (jwk.alg !== undefined && jwk.alg !== alg)) return false;
  const padding = alg.startsWith("PS") ? { padding: constants.RSA_PKCS1_PSS_PADDING } : {};
  try {
    const key = { key: createPublicKey({ key: jwk, format: "jwk" }), dsaEncoding: "ieee-p1363" as const, ...padding };
    return verify(hashes[alg.slice(2)], Buffer.from(signed), key, signature);
  } catch {
    return false;
  }
}

function keysOf({ jwksSourceSpecifier: source }: JwtProvider): string {
  const text = source.case === "localJwks" ? source.value.specifier.value : undefined;
  return typeof text === "string" ? text : "";
}

/** Where a provider looks for tokens: headers and members of the query; by default as RFC 6750 has it. */
function* tokensOf({ fromHeaders, fromParams, fromCookies }: JwtProvider, call: Call): Generator<Maybe<string>> {
  const byDefault = fromHeaders.length + fromParams.length + fromCookies.length === 0;
  const headers = byDefault ? [{ name: "authorization", valuePrefix: "Bearer " }] : fromHeaders;
  for (const { name, valuePrefix } of headers) {
    const value = headerOf(call, name.toLowerCase());
    if (isUnknown(value)) yield value;
    else if (value !== undefined && value.includes(valuePrefix)) {
      yield /[\w.-]+/.exec(value.slice(value.indexOf(valuePrefix) + valuePrefix.length))?.[0] ?? value;
    }
  }
  const path = call.headers?.get(":path") ?? "";
  const query = isUnknown(path) || !path.includes("?") ? "" : path.slice(path.indexOf("?") + 1);
  for (const name of byDefault ? ["access_token"] : fromParams) {
    const value = new URLSearchParams(query).get(name);
    if (value !== null) yield value;
  }
  const cookies = headerOf(call, "cookie");
  for (const name of fromCookies) {
    if (isUnknown(cookies)) yield cookies;
    const found = isUnknown(cookies) ? undefined : cookies?.split(/; */).find((each) => each.startsWith(`${name}=`));
    if (found !== undefined) yield found.slice(name.length + 1);
  }
}

function audiences({ aud }: Claims): readonly unknown[] {
  return Array.isArray(aud) ? (aud as unknown[]) : [aud];
}

/** Why a token is not good for a provider, without regard to its signature. */
function problemOf({ claims }: Token, provider: JwtProvider, now: number): TokenVerdict | undefined {
  const { issuer } = provider;
  const refused = (why: string, status: 401 | 403 = 401): TokenVerdict => ({ kind: "refused", status, why, issuer });
  const { iss, exp, nbf } = claims;
  if (issuer !== "" && iss !== issuer) {
    return { kind: "refused", status: 401, why: `no rule is for its issuer "${String(iss)}"` };
  }
  if (typeof nbf === "number" && nbf > now / 1000 + skew) return refused("its token is for later");
  if (typeof exp === "number" && exp < now / 1000 - skew) return refused("its token has expired");
  if (provider.audiences.length === 0 || audiences(claims).some((each) => provider.audiences.includes(String(each))))
    return undefined;
  return refused("its token is for another audience", 403);
}

/** Claims as Envoy leaves them in the metadata: lists of words with spaces between are lists. */
function normalized(claims: Claims, { normalizePayloadInMetadata: how }: JwtProvider): Claims {
  const spaced = new Set(how?.spaceDelimitedClaims);
  const entries = Object.entries(claims).map(([name, value]) =>
    spaced.has(name) && typeof value === "string" ? [name, value.split(" ")] : [name, value],
  );
  return Object.fromEntries(entries) as Claims;
}

function verdictOf(text: Maybe<string>, provider: JwtProvider, now: number): TokenVerdict {
  if (isUnknown(text)) return { kind: "unknown", unknown: text };
  const token = decoded(text);
  if (!token) return { kind: "refused", status: 401, why: "its token is no JWT" };
  const problem = problemOf(token, provider, now);
  if (problem) return problem;
  const keys = keysOf(provider);
  if (keys === nobodysKeys) {
    return { kind: "unknown", unknown: { needs: `the keys of ${provider.issuer}, which the control plane fetches` } };
  }
  const { keys: all = [] } = JSON.parse(keys) as {
    readonly keys?: readonly Key[];
  };
  const { kid } = token.header;
  const fitting = kid === undefined ? all : all.filter((each) => each.kid === undefined || each.kid === kid);
  if (!fitting.some((each) => isSignedBy(token, each))) {
    const why = "its token is signed by none of the issuer's keys";
    return { kind: "refused", status: 401, why, issuer: provider.issuer };
  }
  const taken = provider.forward
    ? []
    : provider.fromHeaders.length > 0
      ? provider.fromHeaders.map(({ name }) => name)
      : ["authorization"];
  const written = [provider.forwardPayloadHeader, ...provider.claimToHeaders.map(({ headerName }) => headerName)];
  const changed = [...taken, ...written].filter((name) => name !== "").map((name) => name.toLowerCase());
  return { kind: "good", issuer: provider.issuer, claims: normalized(token.claims, provider), taken: changed };
}

function isPreflight(call: Call): boolean {
  const has = (name: string): boolean => call.headers?.has(name) === true;
  return call.headers?.get(":method") === "OPTIONS" && has("origin") && has("access-control-request-method");
}

/** What the tokens of a request come to for one provider: all that stand where it looks must be good. Envoy begins with the last. */
function verdictBy(provider: JwtProvider, call: Call, now: number): TokenVerdict {
  const verdicts = [...tokensOf(provider, call)].toReversed().map((text) => verdictOf(text, provider, now));
  const bad = verdicts.find(({ kind }) => kind === "refused") ?? verdicts.find(({ kind }) => kind === "unknown");
  return bad ?? verdicts.at(-1) ?? { kind: "none" };
}

/**
 * What the tokens of a request come to: where they are good for some provider, that is enough, else they are refused.
 * @param now milliseconds since the epoch.
 */
export function tokenVerdict(config: JwtAuthentication, call: Call, now: number): TokenVerdict {
  if (config.bypassCorsPreflight && isPreflight(call)) return { kind: "none" };
  const verdicts = Object.values(config.providers).map((provider) => verdictBy(provider, call, now));
  const first = (kind: TokenVerdict["kind"]): TokenVerdict | undefined => verdicts.find((each) => each.kind === kind);
  // Of several refusals, that of the provider whose token it is says most.
  const own = verdicts.find((each) => each.kind === "refused" && each.issuer !== undefined);
  return first("good") ?? first("unknown") ?? own ?? first("refused") ?? { kind: "none" };
}

import { FieldPath, invalid, required, warning } from "../field.ts";
import type { Errors } from "./names.ts";
import { targetWarnings, validateTargets } from "./policy-validation.ts";
import type { JWTRule, RequestAuthentication } from "./request-authentication.ts";
import type { Warnings } from "./warnings.ts";

/** A JSON Web Key (RFC 7517). */
type Key = Readonly<Record<string, unknown>>;

/** What keys of each type must have (RFC 7518, 6; RFC 8037, 2). */
const keyMembers: ReadonlyMap<unknown, readonly string[]> = new Map([
  ["RSA", ["n", "e"]],
  ["EC", ["crv", "x", "y"]],
  ["OKP", ["crv", "x"]],
  ["oct", ["k"]],
]);

/** The keys of a set, or the one key that a text is; undefined where it is neither. */
function keysOf(text: string): readonly Key[] | undefined {
  try {
    const value: unknown = JSON.parse(text);
    if (value === null || typeof value !== "object") return undefined;
    const keys = "keys" in value ? value.keys : [value];
    if (!Array.isArray(keys)) return undefined;
    return keys.map((key: unknown) => (typeof key === "object" && key !== null ? (key as Key) : {}));
  } catch {
    return undefined;
  }
}

function keysProblem(text: string): string | undefined {
  const keys = keysOf(text);
  if (keys === undefined) return "must be a JSON Web Key Set: an object with a list of keys";
  for (const [index, key] of keys.entries()) {
    const members = keyMembers.get(key["kty"]);
    if (members === undefined) return `key ${index} must have kty: RSA, EC, OKP or oct`;
    const missing = members.find((name) => typeof key[name] !== "string" || key[name] === "");
    if (missing !== undefined) return `key ${index} lacks ${missing}`;
  }
  return undefined;
}

function* validateRule(rule: JWTRule, path: FieldPath): Errors {
  const { issuer, jwks } = rule;
  const name = rule.jwks_uri === undefined ? "jwksUri" : "jwks_uri";
  const uri = rule[name];
  if (issuer === undefined && uri === undefined) yield required(path, "issuer or jwksUri");
  if (uri !== undefined && !(/^https?:/i.test(uri) && URL.canParse(uri))) {
    yield invalid(path.field(name), uri, "must be a URL of http or https");
  }
  const problem = jwks ? keysProblem(jwks) : undefined;
  if (problem !== undefined) yield invalid(path.field("jwks"), jwks, problem);
}

/** Checks a RequestAuthentication as Istio's CRD and webhook do. */
export function* validateRequestAuthentication({ spec }: RequestAuthentication): Errors {
  const path = FieldPath.root.field("spec");
  yield* validateTargets(spec, path);
  for (const [index, rule] of (spec.jwtRules ?? []).entries()) {
    yield* validateRule(rule, path.field("jwtRules").item(index));
  }
}

/** What Istio warns of in a RequestAuthentication. */
export function* requestAuthenticationWarnings({ spec }: RequestAuthentication): Warnings {
  const path = FieldPath.root.field("spec");
  yield* targetWarnings(spec, path);
  for (const [index, { jwks = "" }] of (spec.jwtRules ?? []).entries()) {
    for (const [at, key] of (keysOf(jwks) ?? []).entries()) {
      if (key["kty"] !== "oct" && !("d" in key)) continue;
      const field = path.field("jwtRules").item(index).field("jwks");
      yield warning(field, `key ${at} holds a private key; only public ones are used`);
    }
  }
}

import type { JWTRule, RequestAuthenticationSpec } from "#api/istio/request-authentication.ts";
import { parseDuration } from "#base/duration.ts";

/** Where an issuer's keys are. */
export interface JwksPlace {
  readonly issuer: string;
  /** Empty where the issuer's own OpenID configuration says it. */
  readonly uri: string;
}

/** What is known of the keys at a place: the last good ones as the text of a JSON Web Key Set, and why there are no newer ones. */
export interface JwksRow {
  readonly keys?: string;
  readonly problem?: string;
  /** Until when keys that cannot be fetched anew go on, as an RFC 3339 time; only beside a problem. */
  readonly until?: string;
}

/** Keys that proxies are to have, and how long fetching them may take. */
export interface WantedJwks extends JwksPlace {
  readonly timeoutMs: number;
}

const defaultTimeoutMs = 5000;

/** Where the keys of a rule are; undefined where the rule itself has them. */
export function jwksPlace({ issuer = "", jwksUri, jwks_uri: snake, jwks = "" }: JWTRule): JwksPlace | undefined {
  return jwks === "" ? { issuer, uri: jwksUri ?? snake ?? "" } : undefined;
}

/** A place as a key of the table of keys. */
export function jwksKey({ issuer, uri }: JwksPlace): string {
  return uri === "" ? `issuer ${issuer}` : `uri ${uri}`;
}

/** The keys that must be fetched for an object. */
export function wantedBy({ jwtRules = [] }: RequestAuthenticationSpec): readonly WantedJwks[] {
  return jwtRules.flatMap((rule) => {
    const place = jwksPlace(rule);
    const timeoutMs = rule.timeout === undefined ? defaultTimeoutMs : parseDuration(rule.timeout);
    return place ? [{ ...place, timeoutMs }] : [];
  });
}

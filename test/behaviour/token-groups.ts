import type { Group } from "./policy-matrix.ts";

/** What Envoy says of each kind of bad token, after Istio's "RequestAuthentication": 401, 403 for one that is for others. */
export const refusals = {
  expired: "401 Jwt is expired",
  early: "401 Jwt not yet valid",
  audience: "403 Audiences in Jwt are not allowed",
  issuer: "401 Jwt issuer is not configured",
  unsigned: "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
  none: "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
  nosig: "401 Jwt header [alg] is not supported",
  tampered: "401 Jwt verification fails",
  stranger: "401 Jwks doesn't have key to match kid or alg from Jwt",
  garbage: "401 Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections",
} as const;

/** The same bad tokens at each place where tokens are looked for. */
function badTokens(place: string, kinds: readonly (keyof typeof refusals)[]): string {
  return kinds.map((kind) => `plain GET / ${place.replace("TOKEN", kind)} -> ${refusals[kind]}`).join("\n");
}

const bearer = "authorization=bearer:TOKEN";

/**
 * Headings are those of Istio's reference pages "Request Authentication" and "Authorization Policy Conditions". In a row
 * `bearer:KIND` stands for a token of that kind after `Bearer `, `token:KIND` for the token alone.
 */
export const tokenGroups: readonly Group[] = [
  {
    heading: "RequestAuthentication",
    policies: [],
    rows: `
      plain GET / -> allowed
      plain GET / authorization=bearer:good -> allowed
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=Basic -> allowed
      ${badTokens(bearer, ["expired", "early", "audience", "issuer", "unsigned", "none", "nosig", "tampered", "stranger", "garbage"])}`,
  },
  {
    heading: "RequestAuthentication",
    policies: [["DENY", "[{ from: [{ source: { notRequestPrincipals: ['*'] } }] }]"]],
    rows: `
      plain GET / authorization=bearer:good -> allowed
      plain GET / -> denied
      plain GET / authorization=Basic -> denied
      ${badTokens(bearer, ["expired", "audience", "issuer", "none", "tampered"])}`,
  },
  {
    heading: "RequestAuthentication",
    policies: [["ALLOW", "[{ from: [{ source: { requestPrincipals: ['*'] } }] }]"]],
    rows: `
      plain GET / authorization=bearer:good -> allowed
      plain GET / -> denied
      ${badTokens(bearer, ["expired", "early", "tampered", "stranger"])}`,
  },
  {
    heading: "RequestAuthentication",
    policies: [
      [
        "ALLOW",
        "[{ from: [{ source: { requestPrincipals: ['*'] } }], to: [{ operation: { notPaths: [/healthz] } }] }, { to: [{ operation: { paths: [/healthz] } }] }]",
      ],
    ],
    rows: `
      plain GET /healthz -> allowed
      plain GET / authorization=bearer:good -> allowed
      plain GET / -> denied
      plain GET /healthz authorization=bearer:expired -> ${refusals.expired}`,
  },
  {
    heading: "JWTRule",
    policies: [["ALLOW", "[{ from: [{ source: { requestPrincipals: ['other.example/*'] } }] }]"]],
    rows: `
      plain GET / x-other=token:other -> allowed
      plain GET / x-prefixed=Pass-token:other -> allowed
      plain GET /?access=token:other -> allowed
      plain GET / cookie=session=token:other -> allowed
      plain GET / authorization=bearer:other -> ${refusals.issuer}
      plain GET / x-other=token:good -> ${refusals.issuer}
      plain GET /?other=token:other -> denied
      plain GET / cookie=other=token:other -> denied
      plain GET / -> denied`,
  },
  {
    heading: "JWTRule",
    policies: [["ALLOW", "[{ from: [{ source: { requestPrincipals: ['*'] } }] }]"]],
    rows: `
      plain GET / authorization=bearer:closed -> ${refusals.tampered}
      plain GET / x-fetched=token:fetched -> allowed
      plain GET / authorization=bearer:good x-other=token:other -> allowed
      plain GET / authorization=bearer:good x-other=token:garbage -> allowed
      plain GET / authorization=bearer:expired x-other=token:garbage -> ${refusals.garbage}`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { requestPrincipals: [issuer.example/alice] } }] }]"]],
    rows: `
      plain GET / authorization=bearer:good -> allowed
      plain GET / authorization=bearer:admin -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["ALLOW", "[{ from: [{ source: { requestPrincipals: ['*/alice', 'issuer.example/ro*'] } }] }]"]],
    rows: `
      plain GET / authorization=bearer:good -> allowed
      plain GET / authorization=bearer:admin -> allowed
      plain GET / x-other=token:other -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Source",
    policies: [["DENY", "[{ from: [{ source: { requestPrincipals: ['issuer.example/*'] } }] }]"]],
    rows: `
      plain GET / -> allowed
      plain GET / x-other=token:other -> allowed
      plain GET / authorization=bearer:good -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: 'request.auth.claims[groups]', values: [staff] }] }]"]],
    rows: `
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=bearer:good -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["DENY", "[{ when: [{ key: 'request.auth.claims[groups]', notValues: [staff, 'a*'] }] }]"]],
    rows: `
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=bearer:good -> denied
      plain GET / -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: 'request.auth.claims[team][name]', values: ['till*'] }] }]"]],
    rows: `
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=bearer:good -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: 'request.auth.claims[scope]', values: [write] }] }]"]],
    rows: `
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=bearer:good -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: 'request.auth.claims[roles]', values: [baker] }] }]"]],
    rows: `
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=bearer:good -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: request.auth.principal, values: [issuer.example/root] }] }]"]],
    rows: `
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=bearer:good -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: request.auth.audiences, values: [bank] }] }]"]],
    rows: `
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=bearer:good -> denied`,
  },
  {
    heading: "Condition",
    policies: [["ALLOW", "[{ when: [{ key: request.auth.presenter, values: [console] }] }]"]],
    rows: `
      plain GET / authorization=bearer:admin -> allowed
      plain GET / authorization=bearer:good -> denied
      plain GET / -> denied`,
  },
];

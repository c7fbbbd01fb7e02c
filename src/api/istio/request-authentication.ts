import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { boolean, definition, list, object, positiveDuration, string, type Value } from "../schema.ts";
import { istioName } from "./common.ts";
import { istioKind } from "./kind.ts";
import { policyTargetsWithOne } from "./policy.ts";
import { requestAuthenticationWarnings, validateRequestAuthentication } from "./request-authentication-validation.ts";
import type { IstioStatus } from "./status.ts";

const jwksUri = string("Where the issuer's keys are, by http or https. Found through the issuer unless set.", {
  minLength: 1,
  maxLength: 2048,
});

const JWTHeader = object(
  "A header that holds a token.",
  { name: string("The header's name.", { minLength: 1 }) },
  { prefix: string("What stands before the token, such as Bearer and a space.") },
);

const ClaimToHeader = object(
  "A header that gets a claim of a token that was verified.",
  {
    header: string("The header's name.", { minLength: 1, pattern: "^[-_A-Za-z0-9]+$" }),
    claim: string("The claim's name; claims within claims with points: a.b.", { minLength: 1 }),
  },
  {},
);

export const JWTRule = object(
  "Tokens of one issuer.",
  {},
  {
    issuer: string("Who issued the token.", { minLength: 1 }),
    audiences: list(
      "For whom the token may be, one of them. Any unless set.",
      string("An audience.", { minLength: 1 }),
    ),
    jwksUri,
    jwks_uri: jwksUri,
    jwks: string("The issuer's keys themselves, as a JSON Web Key Set."),
    fromHeaders: list("Headers that may hold the token. Authorization unless one of these is set.", JWTHeader),
    fromParams: list("Query parameters that may hold the token.", string("A parameter's name.", { minLength: 1 })),
    fromCookies: list("Cookies that may hold the token.", string("A cookie's name.", { minLength: 1 })),
    outputPayloadToHeader: string("A header that gets the token's payload, in base64."),
    forwardOriginalToken: boolean("Pass the token on to the workload."),
    outputClaimToHeaders: list("Headers that get claims of the token.", ClaimToHeader),
    timeout: positiveDuration("How long the keys may take to be fetched. 5s unless set."),
    spaceDelimitedClaims: list(
      "Claims that are lists of words with spaces between, as scope is.",
      string("A claim's name.", { minLength: 1 }),
      { maxItems: 64 },
    ),
  },
  { oneOf: [["jwksUri", "jwks_uri", "jwks"]] },
);
export type JWTRule = Value<typeof JWTRule>;

export const RequestAuthenticationSpec = definition(
  istioName("RequestAuthenticationSpec", "security"),
  object(
    "Which tokens some workloads know.",
    {},
    {
      ...policyTargetsWithOne,
      jwtRules: list("Tokens that are known. A request without one is taken all the same.", JWTRule, {
        maxItems: 4096,
      }),
    },
  ),
);
export type RequestAuthenticationSpec = Value<typeof RequestAuthenticationSpec>;

/** Istio's `security.istio.io/v1.RequestAuthentication`. */
export type RequestAuthentication = Resource<{
  readonly spec: RequestAuthenticationSpec;
  readonly status?: IstioStatus;
}>;

export const requestAuthentication: Kind = istioKind({
  group: "security.istio.io",
  versions: [{ name: "v1" }, { name: "v1beta1" }],
  kind: "RequestAuthentication",
  plural: "requestauthentications",
  shortNames: ["ra"],
  description: "Tokens (JWT) of requests that workloads verify; wrong ones are refused.",
  spec: RequestAuthenticationSpec,
  columns: [],
  validate: (object) => validateRequestAuthentication(object as RequestAuthentication),
  warnings: (object) => requestAuthenticationWarnings(object as RequestAuthentication),
});

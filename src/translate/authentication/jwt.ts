import { create } from "@bufbuild/protobuf";
import { EmptySchema } from "@bufbuild/protobuf/wkt";
import type { JWTRule } from "#api/istio/request-authentication.ts";
import {
  type JwtAuthentication,
  JwtAuthenticationSchema,
  type JwtProvider,
  JwtProviderSchema,
  type JwtRequirement,
  JwtRequirementSchema,
} from "#proto/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { isHeaderText } from "../authorization/values.ts";
import { routeMatch } from "../routes/match.ts";
import { payloadKey } from "./names.ts";

/** Tokens of one issuer, and the keys that verify them. */
export interface VerifiedTokens {
  readonly rule: JWTRule;
  /** A JSON Web Key Set. */
  readonly keys: string;
}

/** Claims that are always lists of words with spaces between. */
const spaceDelimited = ["permission", "scope"];

function providerOf({ rule, keys }: VerifiedTokens, clearRouteCache: boolean): JwtProvider {
  const { outputPayloadToHeader: payloadHeader = "", fromHeaders = [] } = rule;
  const claims = [...new Set([...spaceDelimited, ...(rule.spaceDelimitedClaims ?? [])])].toSorted();
  return create(JwtProviderSchema, {
    issuer: rule.issuer ?? "",
    audiences: [...(rule.audiences ?? [])],
    jwksSourceSpecifier: { case: "localJwks", value: { specifier: { case: "inlineString", value: keys } } },
    forward: rule.forwardOriginalToken ?? false,
    forwardPayloadHeader: isHeaderText(payloadHeader) ? payloadHeader : "",
    payloadInMetadata: payloadKey,
    normalizePayloadInMetadata: { spaceDelimitedClaims: claims },
    clearRouteCache,
    fromHeaders: fromHeaders
      .filter(({ name, prefix = "" }) => isHeaderText(name + prefix))
      .map(({ name, prefix = "" }) => ({ name, valuePrefix: prefix })),
    fromParams: [...(rule.fromParams ?? [])],
    fromCookies: [...(rule.fromCookies ?? [])],
    claimToHeaders: (rule.outputClaimToHeaders ?? []).map(({ header, claim }) => ({
      headerName: header,
      claimName: claim,
    })),
  });
}

function requirement(requiresType: JwtRequirement["requiresType"]): JwtRequirement {
  return create(JwtRequirementSchema, { requiresType });
}

function anyOf(requirements: JwtRequirement[]): JwtRequirement {
  const list = { $typeName: "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementOrList" as const, requirements };
  return requirement({ case: "requiresAny", value: list });
}

function allOf(requirements: JwtRequirement[]): JwtRequirement {
  const list = { $typeName: "envoy.extensions.filters.http.jwt_authn.v3.JwtRequirementAndList" as const, requirements };
  return requirement({ case: "requiresAll", value: list });
}

const missing = requirement({ case: "allowMissing", value: create(EmptySchema) });

function provided(name: string): JwtRequirement {
  return requirement({ case: "providerName", value: name });
}

/**
 * What a request's tokens must be: none at all, or good ones. Of several rules one token that is good for some rule is
 * enough, since several may look for tokens at one place, where all but one would refuse it.
 */
function requirementOf(names: readonly string[]): JwtRequirement {
  const each = names.map((name) => anyOf([provided(name), missing]));
  const [only] = each;
  return only && each.length === 1 ? only : anyOf([...names.map(provided), allOf(each)]);
}

/**
 * The filter that verifies tokens; undefined without rules.
 * @param clearRouteCache whether routes are chosen by claims, so that they are chosen again when claims are known.
 */
export function jwtAuthentication(
  tokens: readonly VerifiedTokens[],
  clearRouteCache: boolean,
): JwtAuthentication | undefined {
  if (tokens.length === 0) return undefined;
  const sorted = tokens.toSorted((a, b) => ((a.rule.issuer ?? "") < (b.rule.issuer ?? "") ? -1 : 1));
  const providers = sorted.map((each, index) => [`origins-${index}`, providerOf(each, clearRouteCache)] as const);
  return create(JwtAuthenticationSchema, {
    providers: Object.fromEntries(providers),
    rules: [
      {
        match: routeMatch(undefined),
        requirementType: { case: "requires", value: requirementOf(providers.map(([name]) => name)) },
      },
    ],
    bypassCorsPreflight: true,
  });
}

import { anyUnpack } from "@bufbuild/protobuf/wkt";
import { inRange } from "../filter-chains.ts";
import { stringMatches } from "../strings.ts";
import type { CidrRange } from "#proto/gen/envoy/config/core/v3/address_pb.js";
import type { Permission, Policy, Principal, RBAC } from "#proto/gen/envoy/config/rbac/v3/rbac_pb.js";
import type { HeaderMatcher } from "#proto/gen/envoy/config/route/v3/route_components_pb.js";
import { UriTemplateMatchConfigSchema } from "#proto/gen/envoy/extensions/path/match/uri_template/v3/uri_template_match_pb.js";
import type { MetadataMatcher } from "#proto/gen/envoy/type/matcher/v3/metadata_pb.js";
import type { ValueMatcher } from "#proto/gen/envoy/type/matcher/v3/value_pb.js";
import { jwtFilterName, payloadKey } from "#translate/authentication/names.ts";
import { templateExpression } from "./path-template.ts";
import { type Call, headerOf, holdsOf, isUnknown, type Maybe, pathOf } from "./call.ts";
import { allHold, oneHolds, opposite, type Truth } from "./truth.ts";

const strange: Truth = { needs: "a rule that cannot be followed here" };

function headerHolds({ name, headerMatchSpecifier: rule, invertMatch }: HeaderMatcher, call: Call): Truth {
  const value = headerOf(call, name.toLowerCase());
  if (isUnknown(value)) return value;
  if (rule.case === "presentMatch") return (value !== undefined) === (rule.value !== invertMatch);
  if (rule.case !== "stringMatch") return strange;
  // Without the header Envoy does not match, inverted or not.
  return value !== undefined && stringMatches(rule.value, value) !== invertMatch;
}

function addressHolds(address: Maybe<string>, { addressPrefix, prefixLen }: CidrRange): Truth {
  return holdsOf(address, (known) => inRange(known, addressPrefix, prefixLen ?? 0));
}

function valueHolds({ matchPattern }: ValueMatcher, value: unknown): Truth {
  if (matchPattern.case === "stringMatch") return typeof value === "string" && stringMatches(matchPattern.value, value);
  if (matchPattern.case === "orMatch") {
    return oneHolds(matchPattern.value.valueMatchers.map((each) => valueHolds(each, value)));
  }
  if (matchPattern.case !== "listMatch") return strange;
  const { case: kind, value: one } = matchPattern.value.matchPattern;
  if (kind !== "oneOf") return strange;
  return Array.isArray(value) && oneHolds(value.map((each) => valueHolds(one, each)));
}

/** What a token says; nothing else that filters leave in the metadata is known here. */
function metadataHolds({ filter, path, value, invert }: MetadataMatcher, { claims }: Call): Truth {
  const [first, ...rest] = path.map(({ segment }) => segment.value ?? "");
  if (filter !== jwtFilterName || first !== payloadKey || !value)
    return { needs: `what ${filter} says of the request` };
  if (isUnknown(claims)) return claims;
  let found: unknown = claims;
  for (const name of rest) {
    const within = typeof found === "object" && found !== null && Object.hasOwn(found, name);
    found = within ? (found as Record<string, unknown>)[name] : undefined;
  }
  // Envoy has nothing to match where there is nothing, inverted or not.
  if (found === undefined) return false;
  const holds = valueHolds(value, found);
  return invert ? opposite(holds) : holds;
}

function templateHolds(template: string, call: Call): Truth {
  return holdsOf(pathOf(call), (path) => new RegExp(templateExpression(template), "s").test(path));
}

/** Whether a request may be what a permission asks: `envoy.config.rbac.v3.Permission`. */
function permissionHolds({ rule }: Permission, call: Call): Truth {
  switch (rule.case) {
    case "any":
      return rule.value;
    case "andRules":
      return allHold(rule.value.rules.map((each) => permissionHolds(each, call)));
    case "orRules":
      return oneHolds(rule.value.rules.map((each) => permissionHolds(each, call)));
    case "notRule":
      return opposite(permissionHolds(rule.value, call));
    case "header":
      return headerHolds(rule.value, call);
    case "urlPath": {
      const { rule: asked } = rule.value;
      return asked.case === "path" ? holdsOf(pathOf(call), (path) => stringMatches(asked.value, path)) : strange;
    }
    case "uriTemplate": {
      const config = rule.value.typedConfig && anyUnpack(rule.value.typedConfig, UriTemplateMatchConfigSchema);
      return config ? templateHolds(config.pathTemplate, call) : strange;
    }
    case "destinationPort":
      return call.to.port === rule.value;
    case "destinationIp":
      return addressHolds(call.to.address, rule.value);
    case "requestedServerName":
      return stringMatches(rule.value, call.serverName);
    case "metadata":
      return metadataHolds(rule.value, call);
    case "destinationPortRange":
    case "matcher":
    case "sourcedMetadata":
    case undefined:
      return strange;
  }
}

/** Whether a caller may be whom a principal names: `envoy.config.rbac.v3.Principal`. */
function principalHolds({ identifier }: Principal, call: Call): Truth {
  switch (identifier.case) {
    case "any":
      return identifier.value;
    case "andIds":
      return allHold(identifier.value.ids.map((each) => principalHolds(each, call)));
    case "orIds":
      return oneHolds(identifier.value.ids.map((each) => principalHolds(each, call)));
    case "notId":
      return opposite(principalHolds(identifier.value, call));
    case "authenticated": {
      const { principalName } = identifier.value;
      return holdsOf(call.identity, (identity) => {
        return identity !== "" && (!principalName || stringMatches(principalName, identity));
      });
    }
    case "header":
      return headerHolds(identifier.value, call);
    case "directRemoteIp":
      return addressHolds(call.address, identifier.value);
    case "remoteIp":
      return addressHolds(call.firstAddress, identifier.value);
    case "metadata":
      return metadataHolds(identifier.value, call);
    case "custom":
    case "filterState":
    case "sourceIp":
    case "sourcedMetadata":
    case "urlPath":
    case undefined:
      return strange;
  }
}

function policyHolds({ permissions, principals }: Policy, call: Call): Truth {
  const permitted = oneHolds(permissions.map((each) => permissionHolds(each, call)));
  return allHold([permitted, oneHolds(principals.map((each) => principalHolds(each, call)))]);
}

/** Which rule of a filter a call meets: the first by name, as Envoy has it; where none is, the first that it may meet. */
export interface Met {
  readonly truth: Truth;
  /** The name of the rule; undefined where none is met. */
  readonly rule: string | undefined;
}

/** Looks for a rule that a call meets: `envoy.config.rbac.v3.RBAC`. */
export function metBy({ policies }: RBAC, call: Call): Met {
  const all = Object.entries(policies)
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([rule, policy]) => ({ rule, truth: policyHolds(policy, call) }));
  const met = all.find(({ truth }) => truth === true) ?? all.find(({ truth }) => truth !== false);
  return met ?? { rule: undefined, truth: false };
}

import { create } from "@bufbuild/protobuf";
import type { Condition, Source } from "#api/istio/authorization-policy.ts";
import { type Principal, PrincipalSchema } from "#proto/gen/envoy/config/rbac/v3/rbac_pb.js";
import type { StringMatcher } from "#proto/gen/envoy/type/matcher/v3/string_pb.js";
import { claimMatcher, textValue } from "../metadata-match.ts";
import { bracketedPath, principalClaims } from "./claims.ts";
import { allOf, type Asked, type Field, httpOnly, type Logic } from "./predicate.ts";
import { expandedDomains, principalsInDomains, type TrustDomains } from "./trust-domains.ts";
import {
  escaped,
  expressionMatcher,
  headerValue,
  isHeaderText,
  networkRange,
  someText,
  textMatcher,
  valueMatcher,
} from "./values.ts";

/** What principals are made with. */
export interface PrincipalContext {
  readonly http: boolean;
  /** Whether the rule lets in, not out. */
  readonly allows: boolean;
  /** The policy's own, for service accounts without one. */
  readonly namespace: string;
  readonly domains: TrustDomains;
}

function principal(identifier: Principal["identifier"]): Principal {
  return create(PrincipalSchema, { identifier });
}

const set = (ids: Principal[]) => ({ $typeName: "envoy.config.rbac.v3.Principal.Set" as const, ids });

const logic: Logic<Principal> = {
  or: (ids) => principal({ case: "orIds", value: set(ids) }),
  and: (ids) => principal({ case: "andIds", value: set(ids) }),
  not: (id) => principal({ case: "notId", value: id }),
  any: principal({ case: "any", value: true }),
};

/** Whom nobody is. */
export const nobody: Principal = logic.not(logic.any);

/** The SPIFFE identity of the caller's certificate. */
function certified(principalName: StringMatcher): Principal {
  return create(PrincipalSchema, { identifier: { case: "authenticated", value: { principalName } } });
}

const scheme = "spiffe://";

/** The longest that a SPIFFE identity may be; what is longer is nobody's, and no expression for Envoy. */
const longestIdentity = 2048;

/** The caller's identity by an expression that is made from a value. */
function expressed(value: string, expression: string): Principal {
  return value.length > longestIdentity ? nobody : certified(expressionMatcher(expression));
}

/** An identity without its scheme; a wildcard at its beginning is for the trust domain too. */
function identity(value: string): Principal {
  if (value === "*") return certified(someText);
  if (value.startsWith("*")) return expressed(value, `${scheme}.*${escaped(value.slice(1))}`);
  if (value.endsWith("*")) return certified(textMatcher("prefix", `${scheme}${value.slice(0, -1)}`));
  return certified(textMatcher("exact", `${scheme}${value}`));
}

function namespace(value: string): Principal {
  return expressed(value, `.*/ns/${value.split("*").map(escaped).join(".*")}/.*`);
}

/** `account` of the policy's namespace, or `namespace/account`. */
function account(value: string, own: string): Principal {
  const slash = value.indexOf("/");
  const [of, name] = slash < 0 ? [own, value] : [value.slice(0, slash), value.slice(slash + 1)];
  return expressed(value, `${scheme}.+/ns/${escaped(of)}/(.+/|)sa/${escaped(name)}(/.+)?`);
}

function trustDomain(value: string): Principal {
  if (value === "*") return certified(textMatcher("prefix", scheme));
  if (!value.includes("*")) return certified(textMatcher("prefix", `${scheme}${value}/`));
  return expressed(value, `${scheme}${value.split("*").map(escaped).join("[^/]*")}/.*`);
}

const directAddress = (value: string): Principal => principal({ case: "directRemoteIp", value: networkRange(value) });
const remoteAddress = (value: string): Principal => principal({ case: "remoteIp", value: networkRange(value) });

function tokenPrincipal(value: string): Principal {
  return logic.and(principalClaims(value).map((claim) => principal({ case: "metadata", value: claim })));
}

function claim(path: readonly string[], value: string): Principal {
  return principal({ case: "metadata", value: claimMatcher(path, textValue(valueMatcher(value))) });
}

type Ask = (value: string) => Asked<Principal>;

interface Lists {
  readonly values?: readonly string[] | undefined;
  readonly notValues?: readonly string[] | undefined;
}

function field({ values = [], notValues = [] }: Lists, ask: Ask): Field<Principal> {
  return { values, notValues, ask };
}

/** The fields of who calls that sources and conditions share, by the attribute's name. */
function identityField(key: string, lists: Lists, context: PrincipalContext): Field<Principal> | undefined {
  const { domains, http } = context;
  const { values = [], notValues = [] } = lists;
  const onHttp = (ask: Ask): Ask => (http ? ask : () => httpOnly);
  switch (key) {
    case "source.principal":
      return {
        values: principalsInDomains(values, domains),
        notValues: principalsInDomains(notValues, domains),
        ask: identity,
      };
    case "source.trustDomain":
      return {
        values: expandedDomains(values, domains),
        notValues: expandedDomains(notValues, domains),
        ask: trustDomain,
      };
    case "source.namespace":
      return field(lists, namespace);
    case "source.serviceAccount":
      return field(lists, (value) => account(value, context.namespace));
    case "source.ip":
      return field(lists, directAddress);
    case "remote.ip":
      return field(lists, remoteAddress);
    case "request.auth.principal":
      return field(lists, onHttp(tokenPrincipal));
    case "request.auth.audiences":
      return field(
        lists,
        onHttp((value) => claim(["aud"], value)),
      );
    case "request.auth.presenter":
      return field(
        lists,
        onHttp((value) => claim(["azp"], value)),
      );
    default:
      return undefined;
  }
}

function conditionField(condition: Condition, context: PrincipalContext): Field<Principal> | undefined {
  const { key } = condition;
  const header = "request.headers";
  const claims = "request.auth.claims";
  const onHttp = (ask: Ask): Ask => (context.http ? ask : () => httpOnly);
  if (key.startsWith(claims)) {
    const path = bracketedPath(key.slice(claims.length));
    return field(
      condition,
      onHttp((value) => claim(path, value)),
    );
  }
  if (!key.startsWith(header)) return identityField(key, condition, context);
  const name = key.slice(header.length + 1, -1);
  return field(
    condition,
    onHttp((value) => (isHeaderText(name) ? principal({ case: "header", value: headerValue(name, value) }) : nobody)),
  );
}

function sourceFields(source: Source, context: PrincipalContext): readonly Field<Principal>[] {
  const lists: readonly (readonly [string, Lists])[] = [
    ["source.principal", { values: source.principals, notValues: source.notPrincipals }],
    ["request.auth.principal", { values: source.requestPrincipals, notValues: source.notRequestPrincipals }],
    ["source.serviceAccount", { values: source.serviceAccounts, notValues: source.notServiceAccounts }],
    ["source.trustDomain", { values: source.trustDomains, notValues: source.notTrustDomains }],
    ["source.namespace", { values: source.namespaces, notValues: source.notNamespaces }],
    ["remote.ip", { values: source.remoteIpBlocks, notValues: source.notRemoteIpBlocks }],
    ["source.ip", { values: source.ipBlocks, notValues: source.notIpBlocks }],
  ];
  return lists.flatMap(([key, values]) => identityField(key, values, context) ?? []);
}

/**
 * Who may call by a rule: a source, and those conditions that ask who calls.
 * @returns undefined where the rule allows and asks what connections that are not HTTP cannot tell.
 */
export function principalOf(
  source: Source,
  when: readonly Condition[],
  context: PrincipalContext,
): Principal | undefined {
  const conditions = when.flatMap((each) => conditionField(each, context) ?? []);
  return allOf([...sourceFields(source, context), ...conditions], logic, context.allows);
}

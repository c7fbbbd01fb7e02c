import type { Finding } from "#api/finding.ts";
import type { ExtensionProvider } from "#api/istio/extension-provider.ts";
import type { JWTRule } from "#api/istio/request-authentication.ts";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import { nobodysKeys, usableKeys } from "#model/key-set.ts";
import { jwksKey, jwksPlace } from "#model/jwks.ts";
import { findingsOf, listed, type Problem } from "#model/findings/finding.ts";
import type { ObjectId } from "#model/findings/findings.ts";
import type { Model } from "#model/model.ts";
import { type ChosenPolicies, referencedServices } from "#model/policies.ts";
import type { Service } from "#model/service.ts";
import { only } from "#model/services.ts";
import { serviceKey } from "#model/tables.ts";
import { JwtAuthenticationSchema } from "#proto/gen/envoy/extensions/filters/http/jwt_authn/v3/config_pb.js";
import { jwtAuthentication, type VerifiedTokens } from "./authentication/jwt.ts";
import { jwtFilterName } from "./authentication/names.ts";
import { type AuthorizerReading, type FindHost, readAuthorizer } from "./authorization/external.ts";
import { externalAuthorization, ownAuthorization } from "./authorization/filters.ts";
import type { PolicyRow } from "./authorization/rbac.ts";
import type { TrustDomains } from "./authorization/trust-domains.ts";
import { unaskedPorts } from "./authorization/unasked.ts";
import { httpFilter } from "./listeners/http-filters.ts";
import { type SecurityFilters, unsecured } from "./security-filters.ts";

/** What filters of policies are keyed by. */
interface SecurityView {
  readonly policies: ChosenPolicies;
  /** Whether they stand at a gateway, where routes may be chosen by what a token says. */
  readonly gateway: boolean;
}

/** Questions about what policies come to. */
export interface SecurityQueries {
  /** The filters of some policies; none where there are none. */
  readonly filters: (policies: ChosenPolicies | undefined, gateway: boolean) => SecurityFilters;
  /** What of a policy cannot be carried out. */
  readonly findings: (id: ObjectId) => readonly Finding[];
}

/** Declares the queries about what policies come to. */
export function securityQueries(engine: Engine, model: Model): SecurityQueries {
  const { policies: chosen, services, tables } = model;

  const trustDomains = engine.stringQuery("trust-domains", (): TrustDomains => {
    const { trustDomain, trustDomainAliases } = services.mesh.get(only);
    return [trustDomain, ...trustDomainAliases];
  });

  /** The providers of a name; there should be one. */
  const providersOf = engine.stringQuery("extension-provider", (name): readonly ExtensionProvider[] =>
    services.mesh.get(only).extensionProviders.filter((each) => each.name === name),
  );

  /** The host of `HOST` or `NAMESPACE/HOST`. */
  const find: FindHost = (service) => {
    const [namespace = "", host = ""] = service.includes("/") ? service.split("/") : ["", service];
    const keys =
      namespace === ""
        ? services.keysOfHost.get(host)
        : [serviceKey(namespace, host)].filter((key) => services.service.get(key));
    if (keys.length === 1) return { host };
    const known = keys.map((key) => key.slice(0, key.indexOf("/"))).join(", ");
    return keys.length === 0
      ? { problem: `its service ${service} does not exist` }
      : { problem: `its service ${service} is in several namespaces, ${known}: write NAMESPACE/HOST` };
  };

  const authorizer = engine.stringQuery("external-authorizer", (name): AuthorizerReading => {
    const [provider, ...others] = providersOf.get(name);
    if (!provider) return { problem: "no extensionProvider of the mesh's settings has this name" };
    if (others.length > 0) return { problem: "several extensionProviders of the mesh's settings have this name" };
    return readAuthorizer(provider, find);
  });

  const providerProblems = (row: PolicyRow): readonly Problem[] => {
    const { action, provider: { name = "" } = {} } = row.spec;
    if (action !== "CUSTOM") return [];
    const reading = authorizer.get(name);
    const problem = "problem" in reading ? reading.problem : otherProvider(row, name);
    if (problem === undefined) {
      return "authorizer" in reading && !reading.authorizer.network ? unaskedProblems(row, name) : [];
    }
    const message = `Provider "${name}" cannot be asked, and what the rules are about is refused: ${problem}.`;
    return [{ code: "UnusableProvider", severity: "error", field: "spec.provider.name", message }];
  };

  /** Services whose workloads a policy may be for. */
  const servicesFor = ({ namespace, spec }: PolicyRow): readonly Service[] => {
    const { targetRef, targetRefs = targetRef ? [targetRef] : [] } = spec;
    const named = targetRefs.flatMap((each) => referencedServices(tables, namespace, each) ?? []);
    const everywhere = namespace === services.mesh.get(only).rootNamespace;
    const all = everywhere ? services.namespaces.get(only) : [namespace];
    const keys = targetRefs.length > 0 ? named : all.flatMap((each) => services.keysIn.get(each));
    return keys.flatMap((key) => services.service.get(key) ?? []);
  };

  /** As in Istio, an authorizer over HTTP leaves out connections that are not HTTP: they are let in. */
  const unaskedProblems = (row: PolicyRow, provider: string): readonly Problem[] => {
    const ports = unaskedPorts(row, { services: servicesFor(row), gateways: tables.gateways.rows.rows() });
    if (ports.length === 0) return [];
    const message = `Provider "${provider}" is asked over HTTP, so that connections that are not HTTP are let in unasked, as in Istio: those to port ${listed(ports)}. Use envoyExtAuthzGrpc, or a policy of action DENY or ALLOW for them; say http in the names of ports that speak it.`;
    return [{ code: "ConnectionsNotAsked", severity: "warning", field: "spec.provider.name", message }];
  };

  /** That a workload may have policies with two providers; a policy may be for it where no label stands against it. */
  const otherProvider = ({ namespace, name: own, spec }: PolicyRow, provider: string): string | undefined => {
    const root = services.mesh.get(only).rootNamespace;
    const places = namespace === root ? undefined : [root, namespace];
    const labels = spec.selector?.matchLabels ?? {};
    const other = tables.authorizationPolicies.rows
      .rows()
      .filter((row) => row.spec.action === "CUSTOM" && (places ?? [row.namespace]).includes(row.namespace))
      .filter((row) => row.name !== own || row.namespace !== namespace)
      .filter((row) => (row.spec.provider?.name ?? "") !== provider)
      .find(({ spec: { selector } }) =>
        Object.entries(selector?.matchLabels ?? {}).every(([label, value]) => (labels[label] ?? value) === value),
      );
    if (!other) return undefined;
    const { name: theirs = "" } = other.spec.provider ?? {};
    return `a workload has one, and AuthorizationPolicy ${other.namespace}/${other.name}, which may be for the same workloads, names ${theirs}`;
  };

  const keysOf = (rule: JWTRule): string => {
    const place = jwksPlace(rule);
    const keys = place ? tables.jwks.get(jwksKey(place))?.keys : usableKeys(rule.jwks ?? "");
    return keys ?? nobodysKeys;
  };

  const jwtFilters = ({ policies, gateway }: SecurityView): SecurityFilters => {
    const rows = policies.authentication.flatMap((key) => chosen.requestAuthentication.get(key) ?? []);
    const rules = rows.flatMap(({ spec }) => spec.jwtRules ?? []);
    const tokens = rules.map((rule): VerifiedTokens => ({ rule, keys: keysOf(rule) }));
    const config = jwtAuthentication(tokens, gateway);
    return config ? { http: [httpFilter(jwtFilterName, JwtAuthenticationSchema, config)], network: [] } : unsecured;
  };

  const filters = engine.query<SecurityView, SecurityFilters>({
    name: "security-filters",
    key: canonical,
    compute: (view) => {
      const rows = view.policies.authorization.flatMap((key) => chosen.authorizationPolicy.get(key) ?? []);
      const input = { rows, domains: trustDomains.get(only), authorizer: (name: string) => authorizer.get(name) };
      // Who is refused by an external authorizer is not asked for a token; what proxies decide may ask what tokens say.
      const parts = [externalAuthorization(input), jwtFilters(view), ownAuthorization(input)];
      return { http: parts.flatMap(({ http }) => http), network: parts.flatMap(({ network }) => network) };
    },
  });

  return {
    filters: (policies, gateway) => (policies ? filters.get({ policies, gateway }) : unsecured),
    findings: ({ kind, namespace, name }) => {
      const row = kind === "AuthorizationPolicy" ? chosen.authorizationPolicy.get(`${namespace}/${name}`) : undefined;
      return row ? findingsOf(row, providerProblems(row)) : [];
    },
  };
}

import type { AuthorizationPolicySpec } from "#api/istio/authorization-policy.ts";
import type { PolicySelector, PolicyTargetReference } from "#api/istio/policy.ts";
import type { RequestAuthenticationSpec } from "#api/istio/request-authentication.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { serviceHost } from "./hosts.ts";
import { jwksKey, wantedBy, type WantedJwks } from "./jwks.ts";
import type { Config } from "./rows.ts";
import { byAge } from "./service.ts";
import { only, type ServiceQueries } from "./services.ts";
import { serviceKey, type Tables } from "./tables.ts";
import { isTarget, type Target, targetOf } from "./targets.ts";

/** A proxy, as far as it decides which policies are for it. */
interface SelectedProxy {
  readonly namespace: string;
  readonly labels: StringMap;
  /** Keys of the services that its workload serves; called only where policies name services. */
  readonly services: () => readonly string[];
}

/** Policies of a proxy, `namespace/name`: those of the root namespace first, the oldest first. */
export interface ChosenPolicies {
  /** AuthorizationPolicies. */
  readonly authorization: readonly string[];
  /** RequestAuthentications. */
  readonly authentication: readonly string[];
}

/** For which proxies a policy is; what it says is left out, so that an edit of that moves no proxy. */
interface Outline {
  readonly key: string;
  readonly target: Target;
  /** Keys of the services that it names, whose workloads it is for. */
  readonly services: readonly string[];
}

/** What policies say that they are for. */
export interface Targeted {
  readonly selector?: PolicySelector;
  readonly targetRef?: PolicyTargetReference;
  readonly targetRefs?: readonly PolicyTargetReference[];
}

/** Questions about policies of security. */
export interface PolicyQueries {
  readonly authorizationPolicy: Query<string, Config<AuthorizationPolicySpec> | undefined>;
  readonly requestAuthentication: Query<string, Config<RequestAuthenticationSpec> | undefined>;
  /** The policies that are for a proxy; undefined without any. */
  readonly chosen: (proxy: SelectedProxy) => ChosenPolicies | undefined;
  /** Keys of tokens' issuers that must be fetched, by `jwksKey`; of several times that they may take the longest. */
  readonly wantedJwks: Query<string, ReadonlyMap<string, WantedJwks>>;
}

/** The references of a policy, of the former single field too. */
function referencesOf({ targetRef, targetRefs = [] }: Targeted): readonly PolicyTargetReference[] {
  return targetRefs.length === 0 && targetRef ? [targetRef] : targetRefs;
}

/** Keys of the services that a reference means; undefined for one to another kind, or to what does not exist. */
export function referencedServices(
  tables: Tables,
  namespace: string,
  { group = "", kind, name }: PolicyTargetReference,
): readonly string[] | undefined {
  if (kind === "Service" && (group === "" || group === "core")) {
    const key = serviceKey(namespace, serviceHost(name, namespace));
    return tables.servicesByKey.rows(key).length > 0 ? [key] : undefined;
  }
  if (kind !== "ServiceEntry" || group !== "networking.istio.io") return undefined;
  return tables.serviceEntries.rows.get(`${namespace}/${name}`)?.spec.hosts.map((host) => serviceKey(namespace, host));
}

/** Keys of those policies that are for a proxy. */
function selected(outlines: readonly Outline[], proxy: SelectedProxy): readonly string[] {
  return outlines
    .filter(
      ({ target, services }) =>
        isTarget(target, proxy) || (services.length > 0 && proxy.services().some((key) => services.includes(key))),
    )
    .map(({ key }) => key);
}

/** Declares the queries about policies of security. */
export function policyQueries(engine: Engine, tables: Tables, services: ServiceQueries): PolicyQueries {
  const { authorizationPolicies, requestAuthentications } = tables;

  const outlineOf = ({ namespace, name, spec }: Config<Targeted>): Outline => {
    const references = referencesOf(spec);
    return {
      key: `${namespace}/${name}`,
      target: targetOf(namespace, spec.selector?.matchLabels, references),
      services: references.flatMap((reference) => referencedServices(tables, namespace, reference) ?? []),
    };
  };

  const outlines = (name: string, rowsOf: (namespace: string) => readonly Config<Targeted>[]) =>
    engine.stringQuery(name, (namespace): readonly Outline[] => {
      const root = services.mesh.get(only).rootNamespace;
      const found = [...new Set([root, namespace])].flatMap((each) => rowsOf(each).toSorted(byAge));
      return found.map(outlineOf);
    });
  const authorization = outlines("authorization-outlines", (namespace) =>
    authorizationPolicies.byNamespace.rows(namespace),
  );
  const authentication = outlines("authentication-outlines", (namespace) =>
    requestAuthentications.byNamespace.rows(namespace),
  );

  return {
    authorizationPolicy: engine.stringQuery("authorization-policy", (key) => authorizationPolicies.rows.get(key)),
    requestAuthentication: engine.stringQuery("request-authentication", (key) => requestAuthentications.rows.get(key)),
    chosen: (proxy) => {
      const chosen = {
        authorization: selected(authorization.get(proxy.namespace), proxy),
        authentication: selected(authentication.get(proxy.namespace), proxy),
      };
      return chosen.authorization.length + chosen.authentication.length > 0 ? chosen : undefined;
    },
    wantedJwks: engine.stringQuery("wanted-jwks", (): ReadonlyMap<string, WantedJwks> => {
      const wanted = new Map<string, WantedJwks>();
      for (const each of requestAuthentications.rows.rows().flatMap(({ spec }) => wantedBy(spec))) {
        const key = jwksKey(each);
        const timeoutMs = Math.max(each.timeoutMs, wanted.get(key)?.timeoutMs ?? 0);
        wanted.set(key, { ...each, timeoutMs });
      }
      return wanted;
    }),
  };
}

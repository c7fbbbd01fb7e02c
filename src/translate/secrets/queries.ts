import type { ObjectRef, StringMap } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import { isConfigMap, mayRead, parseCredential } from "#model/credentials/name.ts";
import { credentialUses, ruleCredentials, serverCredentials } from "#model/credentials/uses.ts";
import { labelsMatch } from "#model/labels.ts";
import type { Model } from "#model/model.ts";
import { only } from "#model/services.ts";
import type { Tables } from "#model/tables.ts";
import { SecretSchema } from "#proto/gen/envoy/extensions/transport_sockets/tls/v3/secret_pb.js";
import { type EncodedResource, encodeResource, sameResource } from "#proto/encoded.ts";
import type { ProxyView } from "../view.ts";
import { envoySecret } from "./secret.ts";

/** Proxies that may read the same secrets. */
export interface SecretReaders {
  readonly namespace: string;
  readonly cluster: string;
  /** Gateways that they serve, `namespace/name`. */
  readonly gateways: readonly string[];
  /** DestinationRules whose credentials they use, `namespace/name`. */
  readonly rules: readonly string[];
  /** Present where their account may not read the Secrets of its namespace. */
  readonly withoutSecrets?: true;
}

/** What proxies get by SDS, as queries. */
export interface SecretQueries {
  /** Keys of the DestinationRules whose credentials a proxy uses where it follows them. */
  readonly rulesFor: (proxy: Pick<ProxyView, "type" | "namespace" | "labels">) => readonly string[];
  /** Whether what a proxy gets depends on whether it may read Secrets. */
  readonly readsSecrets: (proxy: Pick<ProxyView, "type" | "namespace" | "labels">) => boolean;
  /** Names of all that proxies may read. */
  readonly names: (readers: SecretReaders) => readonly string[];
  /** A secret that they may read; undefined for all others, and for those that could not be used. */
  readonly secret: (readers: SecretReaders, name: string) => EncodedResource | undefined;
  /** The objects that ask for a secret. */
  readonly origins: (readers: SecretReaders, name: string) => readonly ObjectRef[];
}

/** A DestinationRule with credentials: for whom, less what it says. */
interface RuleOutline {
  readonly key: string;
  readonly namespace: string;
  readonly selector?: StringMap;
  /** Sidecars follow it without being selected, since it names nothing secret. */
  readonly open: boolean;
}

/** A secret that an object asks for. */
interface Asked {
  readonly name: string;
  readonly by: ObjectRef;
}

/**
 * Whether an object's asking for a secret lets proxies read it. As in Istio, authorities are nobody's secret, and another
 * namespace's Secret is for Gateways that a ReferenceGrant allows it to.
 */
function allows(
  { name, by }: Asked,
  { namespace, withoutSecrets }: Omit<SecretReaders, "cluster">,
  { referenceGrants }: Tables,
): boolean {
  const place = parseCredential(name, namespace);
  if (!place || !mayRead(place, namespace, referenceGrants.byNamespace.rows(place.namespace))) return false;
  if (place.kind === "ConfigMap") return true;
  // Names of the Gateway API count only in Gateways of the proxies' own namespace, where their writer vouches for them.
  if (place.ofMesh) return by.kind === "Gateway" && by.namespace === namespace;
  return !withoutSecrets || place.wanted === "authorities";
}

/** Declares the queries about secrets. */
export function secretQueries(engine: Engine, model: Model): SecretQueries {
  const { destinationRules, rulesWithCredentials } = model.tables;

  const outlines = engine.stringQuery("credential-rules", (): readonly RuleOutline[] =>
    rulesWithCredentials.rows(only).map(({ namespace, name, spec }) => ({
      key: `${namespace}/${name}`,
      namespace,
      ...(spec.workloadSelector && { selector: spec.workloadSelector.matchLabels ?? {} }),
      open: ruleCredentials(spec).some(({ credentials }) =>
        credentialUses(credentials).some(({ written }) => isConfigMap(written)),
      ),
    })),
  );

  const byGateway = (key: string): readonly Asked[] => {
    const row = model.gateways.gateway.get(key);
    if (!row) return [];
    return (row.spec.servers ?? []).flatMap(({ tls }) => {
      const credentials = tls && serverCredentials(tls);
      return credentials ? credentialUses(credentials).map(({ resource }) => ({ name: resource, by: row.ref })) : [];
    });
  };

  const byRule = (key: string): readonly Asked[] => {
    const row = destinationRules.rows.get(key);
    if (!row) return [];
    return ruleCredentials(row.spec).flatMap(({ credentials }) =>
      credentialUses(credentials).map(({ resource }) => ({ name: resource, by: row.ref })),
    );
  };

  /** Who asks for each secret that proxies may read. */
  const asked = engine.query<Omit<SecretReaders, "cluster">, ReadonlyMap<string, readonly ObjectRef[]>>({
    name: "asked-secrets",
    key: ({ namespace, gateways, rules, withoutSecrets }) =>
      canonical({ namespace, gateways, rules, ...(withoutSecrets && { withoutSecrets }) }),
    compute: (readers) => {
      const { gateways, rules } = readers;
      const all = [...gateways.flatMap(byGateway), ...rules.flatMap(byRule)].filter((each) =>
        allows(each, readers, model.tables),
      );
      const byName = [...Map.groupBy(all, ({ name }) => name)];
      return new Map(byName.map(([name, asking]) => [name, asking.map(({ by }) => by)]));
    },
  });

  const secret = engine.query<
    { readonly cluster: string; readonly namespace: string; readonly name: string },
    EncodedResource | undefined
  >({
    name: "secret",
    key: canonical,
    equal: sameResource,
    compute: ({ cluster, namespace, name }) => {
      const place = parseCredential(name, namespace);
      const made = place && envoySecret(name, model.credentials.credential.get({ cluster, place }));
      return made && encodeResource(SecretSchema, made, name);
    },
  });

  return {
    rulesFor: ({ type, namespace, labels }) =>
      outlines
        .get(only)
        .filter(({ namespace: of, selector, open }) =>
          selector ? of === namespace && labelsMatch(selector, labels) : type === "router" || open,
        )
        .map(({ key }) => key),
    readsSecrets: ({ type, namespace, labels }) =>
      type === "router" ||
      outlines
        .get(only)
        .some(({ namespace: of, selector }) => selector && of === namespace && labelsMatch(selector, labels)),
    names: (readers) => [...asked.get(readers).keys()],
    secret: (readers, name) => {
      const { cluster, namespace } = readers;
      return asked.get(readers).has(name) ? secret.get({ cluster, namespace, name }) : undefined;
    },
    origins: (readers, name) => asked.get(readers).get(name) ?? [],
  };
}

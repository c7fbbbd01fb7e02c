/** Where proxies run that ask for the credentials of objects, and which service accounts they are. */
import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { labelsMatch } from "../labels.ts";
import { type Config, type PodRow, rowKey } from "../rows.ts";
import type { Tables } from "../tables.ts";
import { parseCredential } from "./name.ts";
import { type CredentialUse, credentialUses, ruleCredentials, serverCredentials } from "./uses.ts";

/** Proxies of one place that ask for a credential. */
export interface Readers {
  readonly cluster: string;
  readonly namespace: string;
  /** Their service accounts, sorted. */
  readonly accounts: readonly string[];
}

/** A service account of a cluster, whose right to read the Secrets of its namespace matters. */
export interface SecretAccount {
  readonly cluster: string;
  readonly namespace: string;
  readonly serviceAccount: string;
}

/** The key of a service account in the table of those that may not read Secrets. */
export function secretAccountKey({ cluster, namespace, serviceAccount }: SecretAccount): string {
  return rowKey(cluster, namespace, serviceAccount);
}

function readersOf(pods: Iterable<PodRow>): readonly Readers[] {
  const byPlace = Map.groupBy(pods, ({ cluster, namespace }) => `${cluster}/${namespace}`);
  return [...byPlace.values()].flatMap((of): readonly Readers[] => {
    const [first] = of;
    const accounts = [...new Set(of.map(({ serviceAccount }) => serviceAccount))].toSorted();
    return first ? [{ cluster: first.cluster, namespace: first.namespace, accounts }] : [];
  });
}

function podsWith({ podsWithLabel }: Tables, labels: StringMap = {}): readonly PodRow[] {
  const [first] = Object.entries(labels);
  const pods = first ? podsWithLabel.rows(first.join("=")) : [];
  return pods.filter((pod) => labelsMatch(labels, pod.labels));
}

/** Proxies that a Gateway is for. */
export function gatewayReaders(tables: Tables, { spec: { selector } }: Config<GatewaySpec>): readonly Readers[] {
  return readersOf(podsWith(tables, selector));
}

/** Proxies that use a DestinationRule's credentials: the workloads that it selects, or all gateways. */
export function ruleReaders(tables: Tables, { namespace, spec }: Config<DestinationRuleSpec>): readonly Readers[] {
  const labels = spec.workloadSelector?.matchLabels;
  if (labels !== undefined) return readersOf(podsWith(tables, labels).filter((pod) => pod.namespace === namespace));
  const selectors = tables.gateways.rows.rows().map((row) => row.spec.selector);
  return readersOf(new Set(selectors.flatMap((selector) => podsWith(tables, selector))));
}

/** What a Gateway's servers ask for; `field` is within the object. */
export function gatewayUses({ spec: { servers = [] } }: Config<GatewaySpec>) {
  return servers.flatMap(({ tls }, index) => {
    const credentials = tls && serverCredentials(tls);
    return (credentials ? credentialUses(credentials) : []).map((use) => ({
      use,
      field: `spec.servers[${index}].tls.${use.field}`,
    }));
  });
}

/** Whether proxies need the right to read Secrets for a credential: for keys of their own namespace's. */
export function needsRight({ resource }: CredentialUse, namespace: string): boolean {
  const place = parseCredential(resource, namespace);
  return place?.kind === "Secret" && place.wanted === "certificate" && !place.ofMesh && place.namespace === namespace;
}

function accountsOf(uses: readonly CredentialUse[], readers: readonly Readers[]): readonly SecretAccount[] {
  return readers
    .filter(({ namespace }) => uses.some((use) => needsRight(use, namespace)))
    .flatMap(({ cluster, namespace, accounts }) =>
      accounts.map((serviceAccount) => ({ cluster, namespace, serviceAccount })),
    );
}

function keyOf({ namespace, name }: Config<unknown>): string {
  return `${namespace}/${name}`;
}

/** Declares the query about the accounts, by their keys, that objects ask to show keys of Secrets. */
export function secretAccountsQuery(engine: Engine, tables: Tables): Query<string, ReadonlyMap<string, SecretAccount>> {
  const ofGateway = engine.stringQuery("gateway-accounts", (key) => {
    const row = tables.gateways.rows.get(key);
    const uses = row ? gatewayUses(row).map(({ use }) => use) : [];
    return row && uses.length > 0 ? accountsOf(uses, gatewayReaders(tables, row)) : [];
  });
  const ofRule = engine.stringQuery("rule-accounts", (key) => {
    const row = tables.destinationRules.rows.get(key);
    if (!row) return [];
    const uses = ruleCredentials(row.spec).flatMap(({ credentials }) => credentialUses(credentials));
    return accountsOf(uses, ruleReaders(tables, row));
  });
  return engine.stringQuery("secret-accounts", (): ReadonlyMap<string, SecretAccount> => {
    const all = [
      ...tables.gateways.rows.rows().flatMap((row) => ofGateway.get(keyOf(row))),
      ...tables.rulesWithCredentials.rows("").flatMap((row) => ofRule.get(keyOf(row))),
    ];
    return new Map(all.map((each) => [secretAccountKey(each), each]));
  });
}

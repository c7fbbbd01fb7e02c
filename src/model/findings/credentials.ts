import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { GatewayCredential } from "#api/istio/gateway-credential.ts";
import type { StringMap } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";
import { timestamp } from "#base/timestamp.ts";
import { type CredentialPlace, isConfigMap, mayRead, parseCredential, withoutSuffix } from "../credentials/name.ts";
import type { CredentialQueries } from "../credentials/queries.ts";
import { type CredentialUse, credentialUses, ruleCredentials, serverCredentials } from "../credentials/uses.ts";
import { labelsMatch } from "../labels.ts";
import type { Config, PodRow } from "../rows.ts";
import type { Tables } from "../tables.ts";
import type { Problem } from "./finding.ts";

/** What is asked to judge credentials. */
export interface CredentialContext {
  readonly tables: Tables;
  readonly credentials: CredentialQueries;
}

/** Where proxies run that ask for a credential. */
interface Readers {
  readonly cluster: string;
  readonly namespace: string;
}

/** Places of Pods with labels, each once. */
function readersOf(pods: readonly PodRow[], labels: StringMap): readonly Readers[] {
  const places = pods
    .filter((pod) => labelsMatch(labels, pod.labels))
    .map(({ cluster, namespace }) => [`${cluster}/${namespace}`, { cluster, namespace }] as const);
  return [...new Map(places).values()];
}

function gatewayReaders({ tables }: CredentialContext, selector: StringMap = {}): readonly Readers[] {
  const [first] = Object.entries(selector);
  return first ? readersOf(tables.podsWithLabel.rows(first.join("=")), selector) : [];
}

function ruleReaders(row: Config<DestinationRuleSpec>, context: CredentialContext): readonly Readers[] {
  const labels = row.spec.workloadSelector?.matchLabels;
  if (labels === undefined) {
    const all = context.tables.gateways.rows.rows().flatMap(({ spec }) => gatewayReaders(context, spec.selector));
    return [...new Map(all.map((each) => [`${each.cluster}/${each.namespace}`, each])).values()];
  }
  const [first] = Object.entries(labels);
  const pods = first ? context.tables.podsWithLabel.rows(first.join("=")) : [];
  return readersOf(pods, labels).filter(({ namespace }) => namespace === row.namespace);
}

const keepsLast = "proxies that have had a good one keep it, others have none";

const severity = "error";

/** Whether a Gateway of another namespace asks for a Secret by a name of the Gateway API. */
function isForeign({ kind, ofMesh }: CredentialPlace, owner: string, namespace: string): boolean {
  return kind === "Secret" && ofMesh && owner !== namespace;
}

/** What is wrong with a credential for the proxies of one place; undefined where nothing is. */
function problemAt(
  { written, resource }: CredentialUse,
  { cluster, namespace }: Readers,
  owner: string | undefined,
  { credentials, tables }: CredentialContext,
): Omit<Problem, "field"> | undefined {
  const place = parseCredential(resource, namespace);
  if (!place) return undefined;
  const { kind, name, wanted } = place;
  const plain = wanted === "authorities" ? withoutSuffix(name) : name;
  const called = `${kind} ${place.namespace}/${plain}`;
  const grants = owner === undefined ? [] : tables.referenceGrants.byNamespace.rows(place.namespace);
  if (!mayRead(place, namespace, grants) || (owner !== undefined && isForeign(place, owner, namespace))) {
    const grant = place.ofMesh && owner === namespace ? ` Or allow it by a ReferenceGrant in ${place.namespace}.` : "";
    const message = `Proxies of namespace ${namespace} may not read ${called}: Secrets are for their own namespace. Put it there, and write credentialName: ${plain}.${grant}`;
    return { code: "MissingCredential", severity, message };
  }
  const found = credentials.credential.get({ cluster, place });
  if (found.kind === "broken")
    return { code: "InvalidCredential", severity, message: `${found.problem}; ${keepsLast}.` };
  if (found.kind === "missing") {
    const where = place.ofMesh ? "the mesh" : `cluster ${cluster}`;
    const holds = wanted === "authorities" ? "ca.crt" : "tls.crt and tls.key";
    const message = `There is no ${called} in ${where}, which ${written} means; ${keepsLast}. Create it with ${holds}, or correct the name.`;
    return { code: "MissingCredential", severity, message };
  }
  const time = credentials.timeOf(found.validity);
  if (time === "valid") return undefined;
  if (time === "ending") {
    const message = `The certificate of ${called} ends at ${new Date(found.validity.until).toISOString()}; callers refuse it then. Renew it.`;
    return { code: "EndingCredential", severity: "warning", message };
  }
  const says = time === "expired" ? "has expired" : "is not valid yet";
  return {
    code: "InvalidCredential",
    severity,
    message: `The certificate of ${called} ${says}; callers refuse it. Renew it.`,
  };
}

/** The first problem of each field. */
function firstOfField(problems: readonly Problem[]): readonly Problem[] {
  return [...new Map(problems.toReversed().map((problem) => [problem.field, problem])).values()].toReversed();
}

/** A credential that a Gateway's server asks for, and where proxies are that do. */
interface GatewayUse {
  /** The field that names it. */
  readonly field: string;
  readonly use: CredentialUse;
  readonly readers: readonly Readers[];
}

function gatewayUses({ spec: { selector, servers = [] } }: Config<GatewaySpec>, context: CredentialContext) {
  const uses = servers.flatMap(({ tls }, index) => {
    const credentials = tls && serverCredentials(tls);
    return (credentials ? credentialUses(credentials) : []).map((use) => ({
      use,
      field: `spec.servers[${index}].tls.${use.field}`,
    }));
  });
  const readers = uses.length > 0 ? gatewayReaders(context, selector) : [];
  return uses.map((each): GatewayUse => ({ ...each, readers }));
}

/** Credentials of a Gateway's servers that its proxies cannot use. */
export function gatewayCredentialProblems(row: Config<GatewaySpec>, context: CredentialContext): readonly Problem[] {
  const all = gatewayUses(row, context).flatMap(({ use, field, readers }) =>
    readers.flatMap((place): readonly Problem[] => {
      const problem = problemAt(use, place, row.namespace, context);
      return problem ? [{ ...problem, field }] : [];
    }),
  );
  return firstOfField(all);
}

/** Credentials of a Gateway's servers that its proxies can use, and when their certificates end; each once for a field. */
export function gatewayCredentials(row: Config<GatewaySpec>, context: CredentialContext): readonly GatewayCredential[] {
  const all = gatewayUses(row, context).flatMap(({ use: { resource }, field, readers }) =>
    readers.flatMap(({ cluster, namespace }): readonly GatewayCredential[] => {
      const place = parseCredential(resource, namespace);
      const grants = place ? context.tables.referenceGrants.byNamespace.rows(place.namespace) : [];
      if (!place || !mayRead(place, namespace, grants) || isForeign(place, row.namespace, namespace)) return [];
      const found = context.credentials.credential.get({ cluster, place });
      if (found.kind === "broken" || found.kind === "missing") return [];
      const { kind, namespace: of = "", name, cluster: at } = found.ref;
      const notAfter = timestamp(found.validity.until);
      return [{ field, kind, namespace: of, name, ...(at !== undefined && { cluster: at }), notAfter }];
    }),
  );
  return [...new Map(all.map((each) => [canonical(each), each])).values()];
}

/**
 * Credentials of a DestinationRule that no proxy can use which would: the workloads that it selects, or gateways. Those of
 * gateways that do not call the host may lack them.
 */
export function ruleCredentialProblems(
  row: Config<DestinationRuleSpec>,
  context: CredentialContext,
): readonly Problem[] {
  const uses = ruleCredentials(row.spec).flatMap(({ at, credentials }) =>
    credentialUses(credentials).map((use) => ({ use, at })),
  );
  if (uses.length === 0) return [];
  const readers = ruleReaders(row, context);
  const all = uses.flatMap(({ use, at }): readonly Problem[] => {
    const places = isConfigMap(use.written) ? [{ cluster: "", namespace: row.namespace }] : readers;
    const found = places.map((place) => problemAt(use, place, undefined, context));
    const own = found.find((each) => each && each.code !== "MissingCredential");
    const none = found.length > 0 && found.every((each) => each !== undefined);
    const problem = own ?? (none ? found[0] : undefined);
    return problem ? [{ ...problem, field: `${at}.${use.field}` }] : [];
  });
  return firstOfField(all);
}

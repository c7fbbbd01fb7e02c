import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { GatewayCredential } from "#api/istio/gateway-credential.ts";
import { canonical } from "#base/canonical.ts";
import { timestamp } from "#base/timestamp.ts";
import { type CredentialPlace, isConfigMap, mayRead, parseCredential, withoutSuffix } from "../credentials/name.ts";
import type { CredentialQueries } from "../credentials/queries.ts";
import {
  gatewayReaders,
  gatewayUses,
  needsRight,
  type Readers,
  ruleReaders,
  secretAccountKey,
} from "../credentials/readers.ts";
import { type CredentialUse, credentialUses, ruleCredentials } from "../credentials/uses.ts";
import type { Config } from "../rows.ts";
import type { Tables } from "../tables.ts";
import type { Problem } from "./finding.ts";

/** What is asked to judge credentials. */
export interface CredentialContext {
  readonly tables: Tables;
  readonly credentials: CredentialQueries;
}

const keepsLast = "proxies that have had a good one keep it, others have none";

const severity = "error";

/** Whether a Gateway of another namespace asks for a Secret by a name of the Gateway API. */
function isForeign({ kind, ofMesh }: CredentialPlace, owner: string, namespace: string): boolean {
  return kind === "Secret" && ofMesh && owner !== namespace;
}

/** Service accounts that are not served a credential, because they may not read the Secrets of their namespace. */
function refusedAccounts(
  use: CredentialUse,
  { cluster, namespace, accounts }: Readers,
  { secretRefusals }: Tables,
): readonly string[] {
  if (!needsRight(use, namespace)) return [];
  return accounts.filter((serviceAccount) =>
    secretRefusals.get(secretAccountKey({ cluster, namespace, serviceAccount })),
  );
}

/** That accounts may not read a Secret; for what proxies use that an object selects it matters where any may not, else where none may. */
function refusal(
  use: CredentialUse,
  readers: Readers,
  owner: string | undefined,
  tables: Tables,
): Omit<Problem, "field"> | undefined {
  const { cluster, namespace, accounts } = readers;
  const refused = refusedAccounts(use, readers, tables);
  if (refused.length === 0 || (owner === undefined && refused.length < accounts.length)) return undefined;
  const several = refused.length > 1;
  const who = `Service account${several ? "s" : ""} ${refused.map((name) => `${namespace}/${name}`).join(", ")}`;
  const message = `${who} may not list Secrets of ${several ? "their" : "its"} namespace in cluster ${cluster}, so that proxies are not served Secret ${namespace}/${parseCredential(use.resource, namespace)?.name}; ${keepsLast}. Bind a Role there that allows to list secrets.`;
  return { code: "ForbiddenCredential", severity, message };
}

/** What is wrong with a credential for the proxies of one place; undefined where nothing is. */
function problemAt(
  use: CredentialUse,
  readers: Readers,
  owner: string | undefined,
  { credentials, tables }: CredentialContext,
): Omit<Problem, "field"> | undefined {
  const { written, resource } = use;
  const { cluster, namespace } = readers;
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
  const forbidden = refusal(use, readers, owner, tables);
  if (forbidden) return forbidden;
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

/** Credentials of a Gateway's servers that its proxies cannot use. */
export function gatewayCredentialProblems(row: Config<GatewaySpec>, context: CredentialContext): readonly Problem[] {
  const uses = gatewayUses(row);
  const readers = uses.length > 0 ? gatewayReaders(context.tables, row) : [];
  const all = uses.flatMap(({ use, field }) =>
    readers.flatMap((place): readonly Problem[] => {
      const problem = problemAt(use, place, row.namespace, context);
      return problem ? [{ ...problem, field }] : [];
    }),
  );
  return firstOfField(all);
}

/** Credentials of a Gateway's servers that its proxies can use, and when their certificates end; each once for a field. */
export function gatewayCredentials(row: Config<GatewaySpec>, context: CredentialContext): readonly GatewayCredential[] {
  const uses = gatewayUses(row);
  const all = (uses.length > 0 ? gatewayReaders(context.tables, row) : []).flatMap((readers) =>
    uses.flatMap(({ use, field }): readonly GatewayCredential[] => {
      const { cluster, namespace, accounts } = readers;
      if (refusedAccounts(use, readers, context.tables).length === accounts.length) return [];
      const place = parseCredential(use.resource, namespace);
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
  const readers = ruleReaders(context.tables, row);
  const all = uses.flatMap(({ use, at }): readonly Problem[] => {
    const places = isConfigMap(use.written) ? [{ cluster: "", namespace: row.namespace, accounts: [] }] : readers;
    const found = places.map((place) => problemAt(use, place, undefined, context));
    const own = found.find((each) => each && each.code !== "MissingCredential");
    const none = found.length > 0 && found.every((each) => each !== undefined);
    const problem = own ?? (none ? found[0] : undefined);
    return problem ? [{ ...problem, field: `${at}.${use.field}` }] : [];
  });
  return firstOfField(all);
}

import type { ObjectRef } from "#api/meta.ts";
import { refText } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { rowKey } from "../rows.ts";
import type { Tables } from "../tables.ts";
import { type Broken, readAuthorities, readKeyPair, readRevoked, type Validity } from "./certificate.ts";
import { type CredentialPlace, withoutSuffix } from "./name.ts";
import { type SecretAccount, secretAccountsQuery } from "./readers.ts";
import { credentialKeys, type CredentialRow } from "./row.ts";

/** What proxies can use, with values in base64; or why they cannot. */
export type Credential =
  | {
      readonly kind: "certificate";
      readonly chain: string;
      readonly key: string;
      readonly staple?: string;
      readonly validity: Validity;
      readonly ref: ObjectRef;
    }
  | {
      readonly kind: "authorities";
      readonly certificates: string;
      readonly revoked?: string;
      readonly validity: Validity;
      readonly ref: ObjectRef;
    }
  /** There is an object, and proxies cannot use it. */
  | { readonly kind: "broken"; readonly problem: string; readonly ref: ObjectRef }
  | { readonly kind: "missing" };

/** A credential as proxies of a cluster see it. */
export interface CredentialView {
  /** The proxies' own cluster, whose Secrets go before those of the mesh's API. */
  readonly cluster: string;
  readonly place: CredentialPlace;
}

/** Questions about credentials. */
export interface CredentialQueries {
  /** A credential. */
  readonly credential: Query<CredentialView, Credential>;
  /**
   * How a certificate's time stands to the model's; valid where that was never set. It is ending for its last 30 days, one of a
   * shorter life for the last third of that.
   */
  readonly timeOf: (validity: Validity) => "valid" | "ending" | "expired" | "early";
  /** Service accounts, by their keys, whose right to read Secrets matters: objects ask their proxies to show keys of Secrets. */
  readonly accounts: Query<string, ReadonlyMap<string, SecretAccount>>;
}

/** How long before a certificate ends that is told, so that somebody can renew it. */
const noticeMs = 30 * 86_400_000;

function broken({ ref }: CredentialRow, problem: string): Credential {
  return { kind: "broken", problem: `${refText(ref)} ${problem}`, ref };
}

/** The first of Istio's sets of keys whose values are all there. */
function found({ data }: CredentialRow, parts: readonly ("certificate" | "key" | "authorities")[]) {
  return Object.values(credentialKeys).find((keys) => parts.every((part) => (data[keys[part]] ?? "") !== ""));
}

function lacks(row: CredentialRow, wanted: string): Credential {
  const there = [...Object.keys(row.data), ...row.others].toSorted();
  const names = there.length > 3 ? [...there.slice(0, 3), `${there.length - 3} more`] : there;
  return broken(row, `has no ${wanted}; it has ${names.join(", ") || "nothing"}`);
}

function isBroken(value: Validity | Broken): value is Broken {
  return "problem" in value;
}

function certificateOf(row: CredentialRow): Credential {
  const keys = found(row, ["certificate", "key"]);
  if (!keys) return lacks(row, "tls.crt and tls.key, nor cert and key");
  const { data, ref } = row;
  const [chain = "", key = ""] = [data[keys.certificate], data[keys.key]];
  const read = readKeyPair({ chain, key });
  if (isBroken(read))
    return broken(row, `cannot be used: ${read.at === "chain" ? keys.certificate : keys.key} ${read.problem}`);
  const staple = "staple" in keys ? (data[keys.staple] ?? "") : "";
  return { kind: "certificate", chain, key, ...(staple !== "" && { staple }), validity: read, ref };
}

function authoritiesOf(row: CredentialRow): Credential {
  const keys = found(row, ["authorities"]);
  if (!keys) return lacks(row, "ca.crt, nor cacert");
  const { data, ref } = row;
  const certificates = data[keys.authorities] ?? "";
  const read = readAuthorities(certificates);
  if (isBroken(read)) return broken(row, `cannot be used: ${keys.authorities} ${read.problem}`);
  const revoked = data[keys.revoked] ?? "";
  const problem = revoked === "" ? undefined : readRevoked(revoked);
  if (problem) return broken(row, `cannot be used: ${keys.revoked} ${problem.problem}`);
  return { kind: "authorities", certificates, ...(revoked !== "" && { revoked }), validity: read, ref };
}

/** Declares the queries about credentials. */
export function credentialQueries(engine: Engine, tables: Tables): CredentialQueries {
  const row = (cluster: string, { kind, namespace }: CredentialPlace, name: string): CredentialRow | undefined =>
    (kind === "Secret" ? tables.secrets : tables.configMaps).get(rowKey(cluster, namespace, name));

  const inCluster = (cluster: string, place: CredentialPlace): Credential => {
    if (place.wanted === "certificate") {
      const own = row(cluster, place, place.name);
      return own ? certificateOf(own) : { kind: "missing" };
    }
    const plain = withoutSuffix(place.name);
    const own = place.kind === "Secret" ? row(cluster, place, place.name) : undefined;
    const found = own ?? row(cluster, place, plain);
    return found ? authoritiesOf(found) : { kind: "missing" };
  };

  const credential = engine.query<CredentialView, Credential>({
    name: "credential",
    key: canonical,
    compute: ({ cluster, place }) => {
      const first = place.ofMesh || cluster === "" ? undefined : inCluster(cluster, place);
      if (first && first.kind !== "missing" && first.kind !== "broken") return first;
      const second = inCluster("", place);
      // What is wrong with the nearer one is told.
      return first?.kind === "broken" && (second.kind === "missing" || second.kind === "broken") ? first : second;
    },
  });
  /** Whether the model's time has come to an instant. */
  const reached = engine.query<number, boolean | undefined>({
    name: "time-reached",
    key: String,
    compute: (instant) => {
      const now = tables.time.get("now");
      return now === undefined ? undefined : now >= instant;
    },
  });

  return {
    credential,
    accounts: secretAccountsQuery(engine, tables),
    timeOf: ({ from, until }) => {
      if (reached.get(until) === true) return "expired";
      if (reached.get(from) === false) return "early";
      return reached.get(until - Math.min(noticeMs, Math.round((until - from) / 3))) === true ? "ending" : "valid";
    },
  };
}

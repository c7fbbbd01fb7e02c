import type { ObjectRef, ResourceObject } from "#api/meta.ts";
import { refOf } from "#api/meta.ts";

/**
 * Names under which Secrets and ConfigMaps hold what TLS needs, Istio's two sets: that of generic Secrets, and that of
 * `kubernetes.io/tls` and cert-manager.
 */
export const credentialKeys = {
  generic: { certificate: "cert", key: "key", authorities: "cacert", revoked: "crl" },
  tls: {
    certificate: "tls.crt",
    key: "tls.key",
    staple: "tls.ocsp-staple",
    authorities: "ca.crt",
    revoked: "ca.crl",
  },
} as const;

const read: ReadonlySet<string> = new Set(Object.values(credentialKeys).flatMap((keys) => Object.values(keys)));

/** Types of Secrets that hold something else, and much of it. */
const otherTypes = ["helm.sh/release.v1", "kubernetes.io/service-account-token"] as const;

/** The field selector of the Secrets that may be asked for, as Istio's. */
export const secretSelector = otherTypes.map((type) => `type!=${type}`).join(",");

/** What the model keeps of a Secret or a ConfigMap. Nothing of it may go anywhere but into proxies that it is for. */
export interface CredentialRow {
  readonly ref: ObjectRef;
  /** Values of the keys that TLS reads, in base64. */
  readonly data: Readonly<Record<string, string>>;
  /** Names of its other keys, sorted. */
  readonly others: readonly string[];
}

type Texts = Readonly<Record<string, unknown>>;

function rowOf(object: ResourceObject, cluster: string, data: Texts): CredentialRow {
  const entries = Object.entries(data).filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return {
    ref: refOf(object, cluster),
    data: Object.fromEntries(entries.filter(([key]) => read.has(key))),
    others: entries
      .map(([key]) => key)
      .filter((key) => !read.has(key))
      .toSorted(),
  };
}

function texts(value: unknown): Texts {
  return typeof value === "object" && value !== null ? (value as Texts) : {};
}

/** A Secret; undefined for types that hold no certificates. */
export function secretRow(object: ResourceObject, cluster: string): CredentialRow | undefined {
  if ((otherTypes as readonly unknown[]).includes(object["type"])) return undefined;
  // Files have texts as they are, which the API moves into `data`.
  const plain = Object.entries(texts(object["stringData"])).map(([key, text]) => [key, base64(String(text))] as const);
  return rowOf(object, cluster, { ...texts(object["data"]), ...Object.fromEntries(plain) });
}

/** A ConfigMap of the mesh with authorities; undefined for all others, which nobody asks for. */
export function configMapRow(object: ResourceObject, cluster: string): CredentialRow | undefined {
  const data = texts(object["data"]);
  const { generic, tls } = credentialKeys;
  if (cluster !== "" || !(generic.authorities in data || tls.authorities in data)) return undefined;
  const encoded = Object.entries(data).map(([key, text]) => [key, base64(String(text))] as const);
  return rowOf(object, cluster, Object.fromEntries(encoded));
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** A Secret or ConfigMap without the contents that nobody here reads; their names stay. */
export function withoutOtherData(object: ResourceObject): ResourceObject {
  const kept = Object.entries(texts(object["data"])).map(([key, value]) => [key, read.has(key) ? value : ""] as const);
  const { binaryData: _dropped, ...rest } = object;
  return { ...rest, data: Object.fromEntries(kept) };
}

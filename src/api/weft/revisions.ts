import { createHash } from "node:crypto";
import type { StringMap } from "../meta.ts";

/** The ConfigMap of a mesh's revisions. */
export const revisionsName = "weft-revisions";
export const revisionsNamespace = "istio-system";

/** Istio's label of Namespaces and Pods that binds them to a revision or a tag. */
export const revisionLabel = "istio.io/rev";
/** Istio's label of a webhook configuration that stands for a revision tag. */
export const tagLabel = "istio.io/tag";

/** Istio's label of Namespaces that asks for injection by whatever revision the tag `default` stands for. */
export const injectionLabel = "istio-injection";

/** The name of the revision, and of the tag, that serve who asks for none. */
export const defaultRevisionName = "default";

/**
 * What labels bind Pods to, a revision or a tag: those of the namespace, and the Pod's own where the namespace says nothing, as Istio
 * reads them. Undefined where none does.
 */
export function boundTo(namespace: StringMap, pod: StringMap = {}): string | undefined {
  if (namespace[injectionLabel] !== undefined) return defaultRevisionName;
  return namespace[revisionLabel] ?? pod[revisionLabel];
}

const steps = 10_000;

/** Whether a namespace is among a percentage of all: one that is stays when the percentage is raised. */
export function isAmong(namespace: string, percentage: number): boolean {
  const place = createHash("sha256").update(namespace).digest().readUInt32BE(0) % steps;
  return place < (percentage * steps) / 100;
}

/** Whom the revisions of a mesh's control plane serve. */
export interface RevisionTable {
  /** The revision that the tag `default` stands for: of all that no label binds to another. */
  readonly stable: string;
  readonly canary?: string;
  /** Namespaces of a hundred that follow the canary, of those that no label binds. */
  readonly percentage: number;
  /** Where each revision serves proxies, HOST:PORT. */
  readonly addresses: Readonly<Record<string, string>>;
}

/** The ConfigMap's data of a table. */
export function revisionsData(table: RevisionTable): Readonly<Record<string, string>> {
  const { stable, canary, percentage, addresses } = table;
  return {
    stable,
    ...(canary !== undefined && { canary }),
    percentage: String(percentage),
    addresses: JSON.stringify(addresses),
  };
}

function addressesIn(text: string | undefined): Readonly<Record<string, string>> {
  const read = JSON.parse(text ?? "null") as unknown;
  const entries = Object.entries(typeof read === "object" && read !== null ? read : {});
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === "string"));
}

/** The table of a ConfigMap's data; undefined where it is none. */
export function readRevisions(data: StringMap = {}): RevisionTable | undefined {
  const { stable, canary, percentage = "0", addresses } = data;
  if (stable === undefined || stable === "" || !/^\d{1,3}$/.test(percentage)) return undefined;
  try {
    const told = addressesIn(addresses);
    return { stable, ...(canary !== undefined && { canary }), percentage: Number(percentage), addresses: told };
  } catch {
    return undefined;
  }
}

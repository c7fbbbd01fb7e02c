/** The ConfigMap of a mesh's revisions. */
export const revisionsName = "weft-revisions";
export const revisionsNamespace = "istio-system";

/** Istio's label of Namespaces and Pods that binds them to a revision or a tag. */
export const revisionLabel = "istio.io/rev";

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

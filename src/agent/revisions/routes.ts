import type { StringMap } from "#api/meta.ts";
import { boundTo, defaultRevisionName, isAmong, type RevisionTable } from "#api/weft/revisions.ts";

/** Which control plane serves a proxy. */
export interface Upstream {
  readonly revision: string;
  /** Where it serves xDS, as gRPC writes addresses; undefined where nothing says it. */
  readonly address: string | undefined;
}

/** What is known of a mesh's revisions. */
export interface KnownRevisions {
  /** Revisions by the tags that stand for them. */
  readonly tags: ReadonlyMap<string, string>;
  /** What a management plane says of them; absent for a mesh that has none. */
  readonly table?: RevisionTable;
}

/** The address of a revision beside the one of `xds`: Istio's Services are named for their revisions. */
function beside(xds: string, revision: string): string | undefined {
  return xds.startsWith("istiod.") ? xds.replace(/^istiod/, `istiod-${revision}`) : undefined;
}

/** The revision of a management plane's mesh that a namespace follows. */
function tableRevision(table: RevisionTable, bound: string | undefined, namespace: string): string {
  const { stable, canary, percentage } = table;
  if (bound !== undefined && bound !== defaultRevisionName) return bound;
  const moved = canary !== undefined && bound === undefined && isAmong(namespace, percentage);
  return moved ? canary : stable;
}

/** A Pod's place, and what it is labelled with. */
export interface RoutedPod {
  readonly namespace: string;
  readonly labels: StringMap;
  readonly namespaceLabels: StringMap;
}

/**
 * The control plane that serves a Pod's proxy, by labels of its namespace and its own, by tags, and by what a management plane says.
 * @param xds where the control plane is that was installed first.
 */
export function upstreamOf(
  { namespace, labels, namespaceLabels }: RoutedPod,
  { tags, table }: KnownRevisions,
  xds: string,
): Upstream {
  const word = boundTo(namespaceLabels, labels);
  if (table) {
    // To ask for injection is to ask for no revision by name.
    const bound = namespaceLabels["istio.io/rev"] === undefined && word === defaultRevisionName ? undefined : word;
    const revision = tableRevision(table, bound === undefined ? undefined : (tags.get(bound) ?? bound), namespace);
    return { revision, address: table.addresses[revision] ?? beside(xds, revision) };
  }
  const name = word ?? defaultRevisionName;
  const revision = tags.get(name) ?? name;
  return { revision, address: revision === defaultRevisionName ? xds : beside(xds, revision) };
}

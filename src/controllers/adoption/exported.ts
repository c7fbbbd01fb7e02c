import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import { memberGroups } from "#api/member-api.ts";
import type { Client, KindRef } from "#kube/client.ts";
import { definitionKind } from "../aggregation/installation.ts";

/** A CustomResourceDefinition, as far as it is read. */
export interface Definition extends ResourceObject {
  readonly spec: {
    readonly group: string;
    readonly scope: "Namespaced" | "Cluster";
    readonly names: { readonly kind: string; readonly plural: string };
    readonly versions: readonly { readonly name: string; readonly served: boolean; readonly storage: boolean }[];
  };
  readonly status?: { readonly conditions?: readonly { readonly type: string; readonly status: string }[] };
}

/** What a cluster has of Istio's groups by definitions of its own. */
export interface Exported {
  readonly definitions: readonly Definition[];
  readonly objects: readonly ResourceObject[];
}

const groups: ReadonlySet<string> = new Set(memberGroups);

/** The kind that a definition makes, in a version that the mesh has too where there is one. */
export function kindOf({ spec }: Definition, kinds: readonly Kind[]): KindRef {
  const { group, names, scope, versions } = spec;
  const served = versions.filter((each) => each.served).map(({ name }) => name);
  const known = kinds.find((each) => each.group === group && each.kind === names.kind);
  const common = known?.versions.find(({ name }) => served.includes(name))?.name;
  const name = common ?? served[0] ?? "v1";
  return { group, kind: names.kind, plural: names.plural, namespaced: scope === "Namespaced", versions: [{ name }] };
}

/** Reads all of it. */
export async function exportFrom(client: Client, kinds: readonly Kind[]): Promise<Exported> {
  const { items } = await client.of<Definition>(definitionKind).list();
  const definitions = items.filter(({ spec }) => groups.has(spec.group));
  const lists = await Promise.all(definitions.map(async (each) => client.of(kindOf(each, kinds)).list()));
  return { definitions, objects: lists.flatMap((list) => list.items) };
}

/** An object's name for people and flags: `VirtualService/shop/reviews`. */
export function labelOf({ kind, metadata: { namespace, name } }: ResourceObject): string {
  return [kind, ...(namespace === undefined ? [] : [namespace]), name].join("/");
}

/** What somebody wrote of an object: all but what API servers and controllers fill in. */
export function writtenOf({ metadata, status: _status, ...rest }: ResourceObject): ResourceObject {
  const { name, namespace, labels, annotations } = metadata;
  const kept = {
    name,
    ...(namespace !== undefined && { namespace }),
    ...(labels && { labels }),
    ...(annotations && { annotations }),
  };
  return { ...rest, metadata: kept as ResourceObject["metadata"] };
}

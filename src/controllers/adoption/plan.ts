import type { Kind } from "#api/kind.ts";
import { memberNamespace } from "#api/member-api.ts";
import { groupOf, type ResourceObject } from "#api/meta.ts";
import { equal } from "#base/canonical.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { type Exported, labelOf, writtenOf } from "./exported.ts";

/** What becomes of one object of a cluster. */
export type Fate =
  /** The mesh has none of its name. */
  | { readonly kind: "new"; readonly object: ResourceObject }
  /** The mesh has the same. */
  | { readonly kind: "same"; readonly object: ResourceObject }
  /** The mesh has another of its name. */
  | { readonly kind: "conflict"; readonly object: ResourceObject; readonly existing: ResourceObject }
  /** The mesh does not take it. */
  | { readonly kind: "refused"; readonly object: ResourceObject; readonly why: string };

/** Whose object counts where both have one. */
export type Winner = "mesh" | "cluster";

const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

/** What two objects are compared by. */
export function substance(object: ResourceObject): unknown {
  const { metadata, apiVersion: _version, kind: _kind, ...rest } = writtenOf(object);
  const { [lastApplied]: _applied, ...annotations } = metadata.annotations ?? {};
  return { ...rest, labels: metadata.labels ?? {}, annotations };
}

/** The mesh's objects of an object's kind and version; undefined where it has no such kind. */
export function meshObjects(
  mesh: Client,
  object: ResourceObject,
  kinds: readonly Kind[],
): KindClient<ResourceObject> | undefined {
  const kind = kinds.find((each) => each.group === groupOf(object.apiVersion) && each.kind === object.kind);
  const version = object.apiVersion.split("/")[1] ?? "";
  if (kind?.versions.some(({ name }) => name === version) !== true) return undefined;
  return mesh.of(kind, version);
}

async function fateOf(mesh: Client, object: ResourceObject, kinds: readonly Kind[]): Promise<Fate> {
  const { metadata } = object;
  const objects = meshObjects(mesh, object, kinds);
  if (!objects) return { kind: "refused", object, why: `the mesh has no ${object.kind} of ${object.apiVersion}` };
  if ((metadata.finalizers ?? []).length > 0) {
    return {
      kind: "refused",
      object,
      why: `it has finalizers (${metadata.finalizers?.join(", ")}): let who set them remove them`,
    };
  }
  const wanted = writtenOf(object);
  const existing = await objects.find(metadata);
  try {
    if (existing) {
      const { resourceVersion } = existing.metadata;
      const next = { ...wanted, metadata: { ...wanted.metadata, resourceVersion } };
      const stored = await objects.replace(next, { dryRun: true });
      return equal(substance(stored), substance(existing))
        ? { kind: "same", object }
        : { kind: "conflict", object, existing };
    }
    // Its own namespace may not be in the mesh yet.
    const { labels, annotations } = metadata;
    const place = metadata.namespace === undefined ? {} : { namespace: memberNamespace };
    const draft = {
      generateName: "weft-adoption-",
      ...place,
      ...(labels && { labels }),
      ...(annotations && { annotations }),
    };
    const { apiVersion: _version, kind: _kind, ...content } = wanted;
    await objects.create({ ...content, metadata: draft }, { dryRun: true });
    return { kind: "new", object };
  } catch (error) {
    if (codeOf(error) === "Unavailable" || codeOf(error) === "DeadlineExceeded") throw error;
    return { kind: "refused", object, why: messageOf(error) };
  }
}

/** What becomes of each object of a cluster when the mesh takes them over; nothing is changed. */
export async function planAdoption(
  mesh: Client,
  { objects }: Exported,
  kinds: readonly Kind[],
): Promise<readonly Fate[]> {
  const fates: Fate[] = [];
  // Few at a time: what it takes does not matter, and the mesh serves others.
  for (let at = 0; at < objects.length; at += 8) {
    fates.push(...(await Promise.all(objects.slice(at, at + 8).map((object) => fateOf(mesh, object, kinds)))));
  }
  return fates;
}

/** How conflicts are to end. */
export interface Choice {
  /** Of all that is not chosen one by one. */
  readonly prefer?: Winner;
  /** By `labelOf`. */
  readonly chosen: ReadonlyMap<string, Winner>;
  /** Leave out what the mesh does not take; it stays in the backup alone. */
  readonly leaveRefused: boolean;
}

/** Whose object counts; undefined where nothing says it. */
export function winnerOf({ object }: Pick<Fate, "object">, { prefer, chosen }: Choice): Winner | undefined {
  return chosen.get(labelOf(object)) ?? prefer;
}

/** What is to be decided before the mesh can take over, as lines for people; none where all is. */
export function undecided(fates: readonly Fate[], choice: Choice): readonly string[] {
  return fates.flatMap((fate) => {
    const label = labelOf(fate.object);
    if (fate.kind === "refused" && !choice.leaveRefused) return [`${label} is not taken: ${fate.why}`];
    if (fate.kind === "conflict" && winnerOf(fate, choice) === undefined) return [`${label} differs from the mesh's`];
    return [];
  });
}

import type { ObjectMeta, OwnerReference, ResourceObject } from "#api/meta.ts";
import { selects } from "#api/kubernetes/selector.ts";
import type { LabelSelector } from "#api/kubernetes/meta.ts";
import type { KindClient } from "#kube/client.ts";

/** The reference to the object that manages this one. */
export function controllerOf(metadata: ObjectMeta): OwnerReference | undefined {
  return metadata.ownerReferences?.find(({ controller }) => controller === true);
}

/** The uid of the object that manages this one, as values of an index. */
export function ownerUid(metadata: ObjectMeta): readonly string[] {
  const owner = controllerOf(metadata);
  return owner === undefined ? [] : [owner.uid];
}

/** A reference by which `owner` manages another object. */
export function controlledBy({ apiVersion, kind, metadata }: ResourceObject): OwnerReference {
  const { name, uid } = metadata;
  return { apiVersion, kind, name, uid, controller: true, blockOwnerDeletion: true };
}

/**
 * The objects that an owner manages: those that are its own and still fit its selector. One that fits and has no manager is adopted,
 * one of its own that does not fit any more is let go, as Kubernetes' controllers do.
 */
export async function claim<T extends ResourceObject>(
  owner: ResourceObject & { readonly spec: { readonly selector: LabelSelector } },
  candidates: readonly T[],
  client: KindClient<T>,
): Promise<readonly T[]> {
  const claimed: T[] = [];
  for (const candidate of candidates) {
    const { metadata } = candidate;
    const manager = controllerOf(metadata);
    const fits = selects(owner.spec.selector, metadata.labels ?? {});
    if (manager !== undefined && manager.uid !== owner.metadata.uid) continue;
    if (manager !== undefined && fits) claimed.push(candidate);
    else if (manager !== undefined)
      await setOwners(candidate, client, (owners) => owners.filter((one) => one !== manager));
    else if (fits && owner.metadata.deletionTimestamp === undefined && metadata.deletionTimestamp === undefined)
      claimed.push(await setOwners(candidate, client, (owners) => [...owners, controlledBy(owner)]));
  }
  return claimed;
}

async function setOwners<T extends ResourceObject>(
  { metadata }: T,
  client: KindClient<T>,
  change: (owners: readonly OwnerReference[]) => readonly OwnerReference[],
): Promise<T> {
  const { uid, resourceVersion } = metadata;
  const ownerReferences = change(metadata.ownerReferences ?? []);
  return client.patch(metadata, { kind: "merge", body: { metadata: { uid, resourceVersion, ownerReferences } } });
}

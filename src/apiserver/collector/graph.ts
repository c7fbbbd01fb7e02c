import type { ObjectMeta } from "#api/meta.ts";
import type { ObjectKey, Stored } from "#store/port.ts";
import { sharedOwners } from "../origins/owners.ts";

/** Who owns whom, by uid, as far as the stored objects say. */
export class OwnerGraph {
  readonly #keys = new Map<string, ObjectKey>();
  readonly #owners = new Map<string, ReadonlySet<string>>();
  readonly #dependents = new Map<string, Set<string>>();

  /** Takes an object as it is; returns the owners that it does not name any more. */
  put({ key, object }: Stored): readonly string[] {
    const { uid } = object.metadata;
    this.#keys.set(uid, key);
    const owners = ownersOf(object.metadata);
    const former = [...(this.#owners.get(uid) ?? [])].filter((owner) => !owners.has(owner));
    this.#link(uid, owners);
    return former;
  }

  /** Forgets an object; who names it as owner still does. */
  delete(uid: string): void {
    this.#keys.delete(uid);
    this.#link(uid, new Set());
  }

  /** Where an object stands, while it is there. */
  key(uid: string): ObjectKey | undefined {
    return this.#keys.get(uid);
  }

  /** Objects that name this one as an owner. */
  dependents(uid: string): readonly string[] {
    return [...(this.#dependents.get(uid) ?? [])];
  }

  #link(uid: string, owners: ReadonlySet<string>): void {
    for (const owner of this.#owners.get(uid) ?? []) {
      const dependents = this.#dependents.get(owner);
      if (owners.has(owner) || dependents === undefined) continue;
      dependents.delete(uid);
      if (dependents.size === 0) this.#dependents.delete(owner);
    }
    for (const owner of owners) {
      const dependents = this.#dependents.get(owner) ?? new Set();
      dependents.add(uid);
      this.#dependents.set(owner, dependents);
    }
    if (owners.size === 0) this.#owners.delete(uid);
    else this.#owners.set(uid, owners);
  }
}

function ownersOf(metadata: ObjectMeta): ReadonlySet<string> {
  return new Set(sharedOwners(metadata).map(({ uid }) => uid));
}

import { WeftError } from "#base/errors.ts";
import type { ObjectKey, Partition, ResourceStore } from "./port.ts";

/** How many objects a store may have, and which count. */
export interface StoreLimit {
  readonly most: number;
  readonly partitions: readonly Partition[];
  /** As `ObjectKey.resource`. */
  readonly resources: readonly string[];
}

/**
 * A store that takes no more new objects once it has as many as it may; what is there can be changed and removed. It counts the objects
 * there are once and then what goes through it, so it must be the only way to write.
 */
export async function limitedStore(
  store: ResourceStore,
  { most, partitions, resources }: StoreLimit,
): Promise<ResourceStore> {
  const counted = new Set(resources);
  const within = new Set(partitions);
  const counts = ({ partition, resource }: ObjectKey): boolean => within.has(partition) && counted.has(resource);
  let count = 0;
  for (const partition of partitions) {
    for (const resource of resources) {
      const { items, remaining = 0 } = await store.list({ partition, resource });
      count += items.length + remaining;
    }
  }
  return {
    revision: () => store.revision(),
    get: (key) => store.get(key),
    list: (selection, options) => store.list(selection, options),
    records: (key) => store.records(key),
    watch: (selection, after, signal) => store.watch(selection, after, signal),
    compact: (revision) => store.compact(revision),
    async put(key, object, expect, by) {
      const adds = counts(key) && (expect.kind === "absent" || (expect.kind === "any" && !(await store.get(key))));
      if (!adds) return store.put(key, object, expect, by);
      if (count >= most) {
        const fix = "delete some, or ask whoever runs the mesh for more";
        throw new WeftError(
          "PermissionDenied",
          `exceeded quota: there are ${count} objects of at most ${most}: ${fix}`,
        );
      }
      // Before it is written, so that writers at once do not pass together.
      count += 1;
      try {
        return await store.put(key, object, expect, by);
      } catch (error) {
        count -= 1;
        throw error;
      }
    },
    async delete(key, expect, by) {
      const removed = await store.delete(key, expect, by);
      if (counts(key)) count -= 1;
      return removed;
    },
    [Symbol.asyncDispose]: () => store[Symbol.asyncDispose](),
  };
}

import type { ResourceObject } from "#api/meta.ts";
import type { Table } from "#incremental/table.ts";
import { type Config, configRow, rowKey } from "./rows.ts";

/** Names an object among those of its kind. */
export interface ObjectName {
  /** Empty for cluster-wide kinds. */
  readonly namespace: string;
  readonly name: string;
}

/** Whether objects of a namespace are read; the cluster is empty for the mesh's own objects. */
export type IsRead = (cluster: string, namespace: string) => boolean;

/** The way of one kind's objects into their table. */
export interface Slot {
  put(object: ResourceObject, cluster: string): void;
  remove(name: ObjectName, cluster: string): void;
  /** Forgets all objects of a cluster; none of the mesh's own kinds. */
  forget(cluster: string): void;
  /**
   * Takes rows out of the table, or in again, after what is read has changed.
   * @param namespace the only one for which it has; any unless given.
   */
  review(namespace?: string): void;
}

interface Place {
  readonly cluster: string;
  readonly namespace: string;
}

/** How rows of a table are keyed. */
interface Keys {
  readonly keyOf: (name: ObjectName, cluster: string) => string;
  readonly placeOf: (key: string) => Place;
}

const clusterKeys: Keys = {
  keyOf: ({ namespace, name }, cluster) => rowKey(cluster, namespace, name),
  placeOf(key) {
    const [cluster = "", namespace = ""] = key.split("/");
    return { cluster, namespace };
  },
};

const meshKeys: Keys = {
  keyOf: ({ namespace, name }) => `${namespace}/${name}`,
  placeOf: (key) => ({ cluster: "", namespace: key.slice(0, key.indexOf("/")) }),
};

/** Rows of namespaces that are not read wait beside the table, so that a change of what is read needs nobody to tell them again. */
class TableSlot<V> implements Slot {
  readonly #table: Table<V>;
  readonly #keys: Keys;
  readonly #rowOf: (object: ResourceObject, cluster: string) => V | undefined;
  readonly #isRead: IsRead;
  readonly #waiting = new Map<string, V>();

  constructor(
    table: Table<V>,
    keys: Keys,
    rowOf: (object: ResourceObject, cluster: string) => V | undefined,
    isRead: IsRead,
  ) {
    this.#table = table;
    this.#keys = keys;
    this.#rowOf = rowOf;
    this.#isRead = isRead;
  }

  put(object: ResourceObject, cluster: string): void {
    const { namespace = "", name } = object.metadata;
    const key = this.#keys.keyOf({ namespace, name }, cluster);
    const row = this.#rowOf(object, cluster);
    if (row === undefined) this.#delete(key);
    else this.#set(key, row, this.#reads(this.#keys.placeOf(key)));
  }

  remove(name: ObjectName, cluster: string): void {
    this.#delete(this.#keys.keyOf(name, cluster));
  }

  forget(cluster: string): void {
    if (cluster === "") return;
    for (const key of [...this.#table.keys(), ...this.#waiting.keys()]) {
      if (this.#keys.placeOf(key).cluster === cluster) this.#delete(key);
    }
  }

  review(namespace?: string): void {
    for (const key of [...this.#table.keys(), ...this.#waiting.keys()]) {
      const place = this.#keys.placeOf(key);
      if (namespace !== undefined && place.namespace !== namespace) continue;
      const row = this.#waiting.get(key) ?? this.#table.get(key);
      if (row !== undefined) this.#set(key, row, this.#reads(place));
    }
  }

  #reads({ cluster, namespace }: Place): boolean {
    return this.#isRead(cluster, namespace);
  }

  #set(key: string, row: V, isRead: boolean): void {
    if (isRead) {
      this.#waiting.delete(key);
      this.#table.set(key, row);
    } else {
      this.#waiting.set(key, row);
      this.#table.delete(key);
    }
  }

  #delete(key: string): void {
    this.#waiting.delete(key);
    this.#table.delete(key);
  }
}

/** The way of a kind that each cluster, and perhaps the mesh's own API, has. */
export function clusterSlot<V>(
  table: Table<V>,
  rowOf: (object: ResourceObject, cluster: string) => V | undefined,
  isRead: IsRead,
): Slot {
  return new TableSlot(table, clusterKeys, rowOf, isRead);
}

/** The way of a kind of the mesh's own. */
export function meshSlot<Spec>(
  table: Table<Config<Spec>>,
  isRead: IsRead,
  rowOf: (object: ResourceObject) => Config<Spec> = configRow<Spec>,
): Slot {
  return new TableSlot(table, meshKeys, rowOf, isRead);
}

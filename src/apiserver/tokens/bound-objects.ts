import type { ResourceObject } from "#api/meta.ts";
import { valueAt } from "#api/columns.ts";
import type { Partition, ResourceStore } from "#store/port.ts";

/** An object that a token is bound to, as its claims name it. */
export interface Bound {
  readonly name: string;
  readonly uid: string;
}

/** Kinds that a token can be bound to, beside its account. Their resources by kind. */
export const boundKinds = { Pod: "pods", Node: "nodes", Secret: "secrets" } as const;

/** A kind that a token can be bound to. */
export type BoundKind = keyof typeof boundKinds;

/** Whether a text names a kind that tokens can be bound to. */
export function isBoundKind(kind: string): kind is BoundKind {
  return Object.hasOwn(boundKinds, kind);
}

/** What tokens are checked against: the objects of one cluster. */
export class BoundObjects {
  readonly #store: ResourceStore;
  readonly #partition: Partition;

  constructor(store: ResourceStore, partition: Partition) {
    this.#store = store;
    this.#partition = partition;
  }

  /** The service account. */
  account(namespace: string, name: string): Promise<ResourceObject | undefined> {
    return this.#get("serviceaccounts", namespace, name);
  }

  /** An object that a token may be bound to; Nodes have no namespace. */
  find(kind: BoundKind, namespace: string, name: string): Promise<ResourceObject | undefined> {
    return this.#get(boundKinds[kind], kind === "Node" ? "" : namespace, name);
  }

  /** The node that a Pod runs on, with its uid, once it is on one. */
  async nodeOf(pod: ResourceObject): Promise<Bound | undefined> {
    const name = valueAt(pod, "spec", "nodeName");
    if (typeof name !== "string" || name === "") return undefined;
    const node = await this.find("Node", "", name);
    return node === undefined ? undefined : { name, uid: node.metadata.uid };
  }

  async #get(resource: string, namespace: string, name: string): Promise<ResourceObject | undefined> {
    return (await this.#store.get({ partition: this.#partition, resource, namespace, name }))?.object;
  }
}

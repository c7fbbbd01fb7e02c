import { codeOf } from "#base/errors.ts";
import { resourceName, type Kind } from "#api/kind.ts";
import type { OwnerReference, ResourceObject } from "#api/meta.ts";
import type { Stored } from "#store/port.ts";
import { keyOf, partitionOf, type Context } from "../context.ts";
import { sharedOwners } from "../origins/owners.ts";
import { foregroundFinalizer, orphanFinalizer, remove, type Propagation } from "../registry/delete.ts";
import type { Target } from "../registry/target.ts";
import { update } from "../registry/update.ts";
import type { Controller } from "./controller.ts";
import type { Observed } from "./follow.ts";
import { OwnerGraph } from "./graph.ts";

/** What an owner reference comes to: an owner that is there, one that is gone, or one that waits for its dependents to go. */
type OwnerState = "solid" | "absent" | "waiting";

/** An object of the partition with its kind. */
interface Item {
  readonly stored: Stored;
  readonly kind: Kind;
}

const writing = { dryRun: false, fieldValidation: "Ignore", warn: () => undefined } as const;

/**
 * Deletes objects whose owners are gone, and does what a deletion in the foreground or with orphans left behind asks
 * for, in one partition: Kubernetes' garbage collection. It works from what it has seen, but acts only on what it has
 * just read from the store.
 */
export class Collector implements Controller {
  readonly name = "collector";
  readonly #context: Context;
  readonly #graph = new OwnerGraph();
  readonly #kinds: ReadonlyMap<string, Kind>;

  constructor(context: Context) {
    this.#context = context;
    this.#kinds = new Map(
      context.kinds.all
        .filter((kind) => partitionOf(context, kind) === context.partition)
        .map((kind) => [resourceName(kind), kind]),
    );
  }

  get resources(): readonly string[] {
    return [...this.#kinds.keys()];
  }

  due({ kind, stored }: Observed): readonly string[] {
    const { uid, deletionTimestamp } = stored.object.metadata;
    const ownerReferences = sharedOwners(stored.object.metadata);
    const due: string[] = [];
    if (kind === "put") {
      // An owner that waits for its dependents may have waited for this one.
      due.push(...this.#graph.put(stored));
      if (ownerReferences.length > 0 || deletionTimestamp !== undefined) due.push(uid);
      // A deletion in the foreground makes dependents go although the owner is still there.
      if (deletionTimestamp === undefined) return due;
    } else {
      this.#graph.delete(uid);
      due.push(...ownerReferences.map((owner) => owner.uid).filter((owner) => this.#graph.key(owner) !== undefined));
    }
    return [...due, ...this.#graph.dependents(uid)];
  }

  async work(uid: string, add: (uid: string) => void): Promise<void> {
    const item = await this.#read(uid);
    if (item === undefined) return;
    const { deletionTimestamp, finalizers = [] } = item.stored.object.metadata;
    const ownerReferences = sharedOwners(item.stored.object.metadata);
    if (deletionTimestamp !== undefined) {
      if (finalizers.includes(orphanFinalizer)) await this.#orphan(item);
      else if (finalizers.includes(foregroundFinalizer)) await this.#finishForeground(item, add);
    } else if (ownerReferences.length > 0) await this.#collect(item, ownerReferences);
  }

  /** The object as it is stored now, if it is still the same one. */
  async #read(uid: string): Promise<Item | undefined> {
    const key = this.#graph.key(uid);
    const kind = key === undefined ? undefined : this.#kinds.get(key.resource);
    if (key === undefined || kind === undefined) return undefined;
    const stored = await this.#context.store.get(key);
    return stored?.object.metadata.uid === uid ? { stored, kind } : undefined;
  }

  async #dependents(uid: string): Promise<readonly Item[]> {
    const items = await Promise.all(this.#graph.dependents(uid).map((dependent) => this.#read(dependent)));
    return items.filter((item) => item !== undefined && ownerOf(item.stored.object, uid) !== undefined) as Item[];
  }

  /** The dependents forget the owner, then it may go. */
  async #orphan(owner: Item): Promise<void> {
    const { uid } = owner.stored.object.metadata;
    for (const dependent of await this.#dependents(uid)) await this.#dropOwners(dependent, new Set([uid]));
    await this.#dropFinalizer(owner, orphanFinalizer);
  }

  /** The owner may go when no dependent that blocks it is left. */
  async #finishForeground(owner: Item, add: (uid: string) => void): Promise<void> {
    const { uid } = owner.stored.object.metadata;
    const dependents = await this.#dependents(uid);
    const blocking = dependents.filter(({ stored }) => ownerOf(stored.object, uid)?.blockOwnerDeletion === true);
    for (const { stored } of blocking) add(stored.object.metadata.uid);
    if (blocking.length === 0) await this.#dropFinalizer(owner, foregroundFinalizer);
  }

  /** Deletes an object none of whose owners will stay; one that keeps an owner forgets those that are gone. */
  async #collect(item: Item, references: readonly OwnerReference[]): Promise<void> {
    const states = new Map<string, OwnerState>();
    for (const reference of references) states.set(reference.uid, await this.#ownerState(item, reference));
    const all = new Set(states.values());
    if (all.has("solid")) {
      const gone = new Set([...states].filter(([, state]) => state !== "solid").map(([uid]) => uid));
      if (gone.size > 0) await this.#dropOwners(item, gone);
      return;
    }
    const { uid } = item.stored.object.metadata;
    const deep = all.has("waiting") && this.#graph.dependents(uid).length > 0;
    await this.#delete(item, deep ? "Foreground" : undefined);
  }

  async #ownerState(item: Item, reference: OwnerReference): Promise<OwnerState> {
    const slash = reference.apiVersion.indexOf("/");
    const kind = this.#context.kinds.named(slash < 0 ? "" : reference.apiVersion.slice(0, slash), reference.kind);
    const { namespace } = item.stored.object.metadata;
    // An owner that cannot be looked up counts as there: nothing is deleted on a guess.
    if (kind === undefined || (kind.namespaced && namespace === undefined)) return "solid";
    const key = keyOf(this.#context, kind, kind.namespaced ? namespace : undefined, reference.name);
    const owner = await this.#context.store.get(key);
    if (owner?.object.metadata.uid !== reference.uid) return "absent";
    const { deletionTimestamp, finalizers = [] } = owner.object.metadata;
    return deletionTimestamp !== undefined && finalizers.includes(foregroundFinalizer) ? "waiting" : "solid";
  }

  async #delete({ stored, kind }: Item, propagation: Propagation | undefined): Promise<void> {
    const { name, uid, resourceVersion } = stored.object.metadata;
    const options = { dryRun: false, uid, resourceVersion, ...(propagation === undefined ? {} : { propagation }) };
    await ignoreGone(remove(this.#context, targetOf(kind, stored.object), name, options));
  }

  #dropOwners({ stored, kind }: Item, gone: ReadonlySet<string>): Promise<void> {
    return this.#change(kind, stored.object, ({ ownerReferences = [], ...rest }) => ({
      ...rest,
      ownerReferences: ownerReferences.filter(({ uid }) => !gone.has(uid)),
    }));
  }

  #dropFinalizer({ stored, kind }: Item, finalizer: string): Promise<void> {
    return this.#change(kind, stored.object, ({ finalizers = [], ...rest }) => ({
      ...rest,
      finalizers: finalizers.filter((other) => other !== finalizer),
    }));
  }

  async #change(
    kind: Kind,
    object: ResourceObject,
    change: (metadata: ResourceObject["metadata"]) => ResourceObject["metadata"],
  ): Promise<void> {
    const { name, uid } = object.metadata;
    const target = targetOf(kind, object);
    await ignoreGone(
      update(
        this.#context,
        {
          target,
          name,
          part: "specification",
          // The uid binds the change to this object, should another have got its name.
          change: (current) => ({ ...current, metadata: { ...change(current.metadata), uid } }),
        },
        writing,
      ),
    );
  }
}

function ownerOf(object: ResourceObject, uid: string): OwnerReference | undefined {
  return object.metadata.ownerReferences?.find((reference) => reference.uid === uid);
}

function targetOf(kind: Kind, object: ResourceObject): Target {
  return { kind, version: kind.versions[0].name, namespace: object.metadata.namespace };
}

/** What is gone need not be changed. */
async function ignoreGone(work: Promise<unknown>): Promise<void> {
  try {
    await work;
  } catch (error) {
    if (codeOf(error) !== "NotFound") throw error;
  }
}

import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { partsOf } from "./objects.ts";
import type { SyncState } from "./state.ts";

/** Namespaces and definitions are remembered by their UIDs, under keys that no object has. */
const uidPrefix = "uid:";

/** What is remembered of a namespace. */
function trim({ apiVersion, kind, metadata }: ResourceObject): ResourceObject {
  const { name, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp } = metadata;
  const kept = { name, uid, resourceVersion, generation, creationTimestamp };
  return { apiVersion, kind, metadata: { ...kept, ...(deletionTimestamp !== undefined && { deletionTimestamp }) } };
}

/**
 * What the member's objects stand in: its namespaces, and the definitions of their kinds. Objects that go because these do were not deleted
 * by anybody, and are no reason to delete the mesh's.
 */
export class Places {
  readonly #client: Client;
  readonly #state: SyncState;
  readonly #informer: Informer<ResourceObject>;
  #working: Promise<void> = Promise.resolve();

  constructor(client: Client, state: SyncState, { clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#client = client;
    this.#state = state;
    this.#informer = new Informer({ client: client.of(namespaceKind), clock, logger, trim });
  }

  get synced(): Promise<void> {
    return this.#informer.synced;
  }

  /** Follows the member's namespaces until the signal aborts; tells of each that comes or goes once that is remembered. */
  async run(
    changed: (namespace: string) => void,
    failed: (error: unknown) => void,
    signal: AbortSignal,
  ): Promise<void> {
    using _following = this.#informer.onChange(({ before, after }) => {
      const name = (after ?? before)?.metadata.name ?? "";
      this.#working = this.#working
        .then(async () => this.#came(name))
        .then(() => changed(name))
        .catch(failed);
    });
    await this.#informer.run(signal);
    await this.#working;
  }

  /** Whether the member has a namespace, as it was told last, that is not about to go. */
  has(namespace: string): boolean {
    const object = this.#informer.get({ name: namespace });
    return object !== undefined && object.metadata.deletionTimestamp === undefined;
  }

  /** Whether a namespace stands now, and is the one in which objects were agreed on. */
  async stands(namespace: string): Promise<boolean> {
    const object = await this.#client.of(namespaceKind).find({ name: namespace });
    if (object === undefined || object.metadata.deletionTimestamp !== undefined) return false;
    return this.#state.get(`${uidPrefix}namespaces ${namespace}`)?.member === object.metadata.uid;
  }

  /** Takes a definition's UID in; where it was another, all that was agreed on by that is forgotten. @returns whether it was. */
  async defined(definition: string, uid: string): Promise<boolean> {
    return this.#is(`${uidPrefix}definitions ${definition}`, uid, (key) => partsOf(key).definition === definition);
  }

  async #came(namespace: string): Promise<void> {
    const object = this.#informer.get({ name: namespace });
    if (object === undefined) return;
    await this.#is(
      `${uidPrefix}namespaces ${namespace}`,
      object.metadata.uid,
      (key) => partsOf(key).namespace === namespace,
    );
  }

  async #is(key: string, uid: string, within: (key: string) => boolean): Promise<boolean> {
    const before = this.#state.get(key)?.member;
    if (before === uid) return false;
    if (before !== undefined) {
      for (const known of this.#state.all.keys())
        if (!known.startsWith(uidPrefix) && within(known)) this.#state.note(known, undefined);
      await this.#state.flush();
    }
    await this.#state.set(key, { mesh: "", member: uid });
    return before !== undefined;
  }
}

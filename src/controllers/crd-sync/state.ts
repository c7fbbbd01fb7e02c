import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { contentHash } from "#base/content-hash.ts";
import { codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import type { Agreement } from "./decision.ts";

/** What remembered things are kept under. */
const syncLabel = "mesh.weft.dev/synced-member";

/** ConfigMaps that the agreements with one member are spread over: each is at most 1 MiB. */
const shards = 16;

/** An agreement as it is stored: the key is too long to be one of a ConfigMap. */
interface Stored extends Agreement {
  readonly key: string;
}

interface Place {
  readonly shard: number;
  readonly name: string;
}

function placeOf(key: string): Place {
  const name = contentHash(key);
  return { shard: Number.parseInt(name.slice(0, 2), 16) % shards, name };
}

/** Where the state of one member is kept. */
export interface StateOptions {
  /** The mesh's API. */
  readonly client: Client;
  readonly namespace: string;
  readonly member: string;
}

/**
 * What the mesh and one member last agreed on, object by object, and by which UIDs their namespaces and definitions were known then. It
 * outlives the process, in ConfigMaps of the mesh: without it, a deletion on one side could not be told from a creation on the other.
 */
export class SyncState {
  readonly #options: StateOptions;
  readonly #known = new Map<string, Agreement>();
  readonly #dirty = new Set<string>();
  #writing: Promise<void> | undefined;
  #next: Promise<void> | undefined;

  private constructor(options: StateOptions) {
    this.#options = options;
  }

  /** Reads what is kept of a member. */
  static async open(options: StateOptions): Promise<SyncState> {
    const state = new SyncState(options);
    const selection = { namespace: options.namespace, labelSelector: `${syncLabel}=${options.member}` };
    const { items } = await options.client.of<ConfigMap>(configMap).list(selection);
    for (const { metadata, data = {} } of items) {
      if (!metadata.name.startsWith(state.#prefix)) continue;
      for (const text of Object.values(data)) state.#read(text);
    }
    return state;
  }

  /** Forgets all that was agreed on with members that are not among these: what they do meanwhile is not told from what they did before. */
  static async forgetOthers(
    { client, namespace }: Omit<StateOptions, "member">,
    members: ReadonlySet<string>,
  ): Promise<void> {
    const maps = client.of<ConfigMap>(configMap);
    const { items } = await maps.list({ namespace, labelSelector: syncLabel });
    for (const { metadata } of items) if (!members.has(metadata.labels?.[syncLabel] ?? "")) await maps.delete(metadata);
  }

  /** All that is known, by key. */
  get all(): ReadonlyMap<string, Agreement> {
    return this.#known;
  }

  get(key: string): Agreement | undefined {
    return this.#known.get(key);
  }

  /** Remembers, or forgets. Resolves when that is stored. */
  async set(key: string, agreement: Agreement | undefined): Promise<void> {
    this.note(key, agreement);
    await this.flush();
  }

  /** Remembers, or forgets, and stores it with what comes next. */
  note(key: string, agreement: Agreement | undefined): void {
    if (agreement === undefined) this.#known.delete(key);
    else this.#known.set(key, agreement);
    this.#dirty.add(key);
  }

  /** Resolves when all that was noted is stored. */
  async flush(): Promise<void> {
    this.#next ??= this.#writeAfter(this.#writing);
    return this.#next;
  }

  async #writeAfter(before: Promise<void> | undefined): Promise<void> {
    await before?.catch(() => undefined);
    this.#writing = this.#next;
    this.#next = undefined;
    await this.#write();
  }

  get #prefix(): string {
    return `weft-sync-${this.#options.member}-`;
  }

  #read(text: string): void {
    const { key, ...agreement } = JSON.parse(text) as Stored;
    this.#known.set(key, agreement);
  }

  async #write(): Promise<void> {
    const batch = [...this.#dirty];
    this.#dirty.clear();
    const byShard = new Map<number, Record<string, string | null>>();
    for (const key of batch) {
      const { shard, name } = placeOf(key);
      const agreement = this.#known.get(key);
      const stored: Stored | undefined = agreement && { key, ...agreement };
      byShard.set(shard, { ...byShard.get(shard), [name]: stored ? JSON.stringify(stored) : null });
    }
    try {
      await Promise.all([...byShard].map(async ([shard, data]) => this.#patch(shard, data)));
    } catch (error) {
      for (const key of batch) this.#dirty.add(key);
      throw error;
    }
  }

  async #patch(shard: number, data: Readonly<Record<string, string | null>>): Promise<void> {
    const { client, namespace, member } = this.#options;
    const name = `${this.#prefix}${shard}`;
    const maps = client.of<ConfigMap>(configMap);
    try {
      await maps.patch({ namespace, name }, { kind: "merge", body: { data } });
    } catch (error) {
      if (codeOf(error) !== "NotFound") throw error;
      const kept = Object.entries(data).filter((entry): entry is [string, string] => entry[1] !== null);
      const metadata = { namespace, name, labels: { [syncLabel]: member } };
      await maps.create({ metadata, data: Object.fromEntries(kept) });
    }
  }
}

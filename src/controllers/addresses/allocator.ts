import { serviceEntry } from "#api/istio/service-entry.ts";
import type { ResourceObject } from "#api/meta.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { type AddressedEntry, addressedEntry, entryKey, type HostAddress } from "./entries.ts";
import { freeAddress } from "./pool.ts";

/** What the allocator needs. */
export interface AllocatorOptions {
  /** The mesh's API. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

function addressesOf({ given, written }: AddressedEntry): readonly string[] {
  return [...given.map(({ value }) => value), ...written];
}

/** Milliseconds that a burst of changes is waited for. */
const settleMs = 20;

/**
 * Gives hosts of ServiceEntries that have no address one of their own, so that connections to several of them on one
 * port can be told apart: Istio's address auto-allocation. They stand in `status.addresses`, as in Istio, and stay while
 * the host does.
 */
export class AddressAllocator {
  readonly #client: Client;
  readonly #logger: Logger;
  readonly #entries = new Map<string, AddressedEntry>();
  /** Keys of the entries that have an address, given or written. */
  readonly #holders = new Map<string, Set<string>>();
  readonly #queue: WorkQueue;

  constructor({ client, clock, logger }: AllocatorOptions) {
    this.#client = client;
    this.#logger = logger;
    this.#queue = new WorkQueue({
      clock,
      work: async (key) => this.#settle(key),
      failed: (key, error) => {
        if (codeOf(error) !== "NotFound") logger.warn("cannot write addresses", { key, error: messageOf(error) });
      },
    });
  }

  /** Tells of an object as it is stored; others than ServiceEntries are passed over. */
  seen(object: ResourceObject): void {
    if (object.kind !== serviceEntry.kind) return;
    const key = entryKey(object.metadata);
    const entry = addressedEntry(object);
    this.#put(key, entry);
    // Whoever holds an address that this entry has, too, may have to give it up.
    const rivals = addressesOf(entry).flatMap((address) => [...(this.#holders.get(address) ?? [])]);
    for (const each of new Set([key, ...rivals])) this.#queue.addAfter(each, settleMs);
  }

  /** Tells that an object is gone. */
  gone(object: ResourceObject): void {
    if (object.kind === serviceEntry.kind) this.#put(entryKey(object.metadata), undefined);
  }

  /** Gives addresses until the signal aborts. Begin when every entry has been seen: what is taken must be known. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  #put(key: string, entry: AddressedEntry | undefined): void {
    const before = this.#entries.get(key);
    for (const address of before ? addressesOf(before) : []) {
      const holders = this.#holders.get(address);
      holders?.delete(key);
      if (holders?.size === 0) this.#holders.delete(address);
    }
    if (!entry) {
      this.#entries.delete(key);
      return;
    }
    this.#entries.set(key, entry);
    for (const address of addressesOf(entry)) {
      const holders = this.#holders.get(address) ?? new Set();
      this.#holders.set(address, holders.add(key));
    }
  }

  /** Whether another entry has an address with better right: the user wrote it there, or that entry is older. */
  #claimed(address: string, key: string, own: AddressedEntry): boolean {
    return [...(this.#holders.get(address) ?? [])].some((other) => {
      const entry = other === key ? undefined : this.#entries.get(other);
      if (!entry) return false;
      const older = entry.created === own.created ? other < key : entry.created < own.created;
      return older || entry.written.includes(address);
    });
  }

  #addressesOf(key: string, entry: AddressedEntry): readonly HostAddress[] {
    const fresh = new Set<string>();
    return entry.hosts.flatMap((host) => {
      const kept = entry.given.filter((each) => each.host === host && !this.#claimed(each.value, key, entry));
      if (kept.length > 0) return kept;
      const value = freeAddress(`${key}|${host}`, (address) => fresh.has(address) || this.#holders.has(address));
      if (value === undefined) {
        this.#logger.error("no address is left for a host of a ServiceEntry", { key, host });
        return [];
      }
      fresh.add(value);
      return [{ host, value }];
    });
  }

  async #settle(key: string): Promise<void> {
    const entry = this.#entries.get(key);
    if (!entry) return;
    const given = this.#addressesOf(key, entry);
    if (equal(given, entry.given)) return;
    // Known at once, so that the next entry does not choose the same before this one is written.
    this.#put(key, { ...entry, given });
    const status = { addresses: given.length === 0 ? null : given };
    try {
      await this.#client.of(serviceEntry).patch(entry, { kind: "merge", body: { status } }, { subresource: "status" });
    } catch (error) {
      if (this.#entries.get(key)?.given === given) this.#put(key, entry);
      throw error;
    }
  }
}

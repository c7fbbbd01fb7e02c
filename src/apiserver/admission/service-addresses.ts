import { createHash } from "node:crypto";
import { isIPv4 } from "node:net";
import { addressNumber, addressText, cidrSize, parseCidr, type Cidr } from "#base/cidr.ts";
import { valueAt } from "#api/columns.ts";
import type { FieldError } from "#api/kind.ts";
import type { Partition, ResourceStore } from "#store/port.ts";

/** A range's first addresses are left to people, who give them to Services by hand (DNS, the API). */
const reservedAtStart = 16;

/** An address that is held until the Service that has it is stored. */
export interface Reservation {
  readonly address: string;
  readonly release: () => void;
}

/**
 * Gives out a cluster's Service addresses. Which are taken is read from the stored Services each time, so nothing can
 * drift from them, over restarts too; beside that there are only the reservations of Services being stored.
 */
export class ServiceAddresses {
  readonly #store: ResourceStore;
  readonly #partition: Partition;
  readonly #text: string;
  readonly #range: Cidr;
  readonly #reserved = new Set<string>();
  /** What those know to be taken that are reading the stored Services at this moment. */
  readonly #readers = new Set<Set<string>>();

  /**
   * @param range such as `10.110.0.0/16`.
   * @throws WeftError `InvalidArgument` when it is no range.
   */
  constructor(store: ResourceStore, partition: Partition, range: string) {
    this.#store = store;
    this.#partition = partition;
    this.#text = range;
    this.#range = parseCidr(range);
  }

  /**
   * A free address: for a name that comes again the same one, if it is still free.
   * @returns undefined when the range is full.
   */
  async reserve(namespace: string, name: string): Promise<Reservation | undefined> {
    const taken = await this.#taken();
    const size = cidrSize(this.#range);
    // Neither the network's own address nor the last one are given, and small ranges have nothing to reserve.
    const first = size > 4 * reservedAtStart ? reservedAtStart : 1;
    const count = size - 1 - first;
    const start = createHash("sha256").update(`${namespace}/${name}`).digest().readUInt32BE(0);
    for (let step = 0; step < count; step += 1) {
      const address = addressText(this.#range.base + first + ((start + step) % count));
      if (!taken.has(address) && !this.#reserved.has(address)) return this.#hold(address);
    }
    return undefined;
  }

  /** An address that somebody asked for, or why it cannot be had. */
  async reserveExplicit(address: string): Promise<Reservation | FieldError> {
    const refuse = (detail: string): FieldError => ({
      field: "spec.clusterIPs",
      reason: "FieldValueInvalid",
      message: `Invalid value: [${JSON.stringify(address)}]: failed to allocate IP ${address}: ${detail}`,
    });
    if (!isIPv4(address)) return refuse("it is not an IPv4 address");
    const offset = addressNumber(address) - this.#range.base;
    if (offset < 1 || offset >= cidrSize(this.#range) - 1) {
      return refuse(`the provided IP (${address}) is not in the valid range. The range of valid IPs is ${this.#text}`);
    }
    const taken = (await this.#taken()).has(address) || this.#reserved.has(address);
    if (taken) return refuse("provided IP is already allocated");
    return this.#hold(address);
  }

  #hold(address: string): Reservation {
    this.#reserved.add(address);
    for (const reader of this.#readers) reader.add(address);
    return { address, release: () => this.#reserved.delete(address) };
  }

  /** Every address that was taken when the call began, or has been since. */
  async #taken(): Promise<ReadonlySet<string>> {
    const taken = new Set(this.#reserved);
    this.#readers.add(taken);
    try {
      const { items } = await this.#store.list({ partition: this.#partition, resource: "services" });
      for (const { object } of items) {
        const address = valueAt(object, "spec", "clusterIP");
        if (typeof address === "string") taken.add(address);
      }
      return taken;
    } finally {
      this.#readers.delete(taken);
    }
  }
}

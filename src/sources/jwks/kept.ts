import { createHash } from "node:crypto";
import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { publicKeys } from "#model/key-set.ts";

/** The Secret of the root namespace in which keys are kept: who may write there decides for the whole mesh anyway. */
const name = "weft-token-keys";

/** Milliseconds by which the time of keys that stay the same is kept late: each refresh is not worth a write. */
const lateMs = 12 * 3_600_000;

/** Keys as the text of a JSON Web Key Set, and when they were fetched, in milliseconds. */
export interface FetchedKeys {
  readonly keys: string;
  readonly at: number;
}

/** Characters of keys that are kept in all, well below what an object may have. */
const mostCharacters = 512 * 1024;

/** What is needed to keep keys. */
export interface KeptKeysOptions {
  /** The mesh's API. */
  readonly client: Client;
  /** The mesh's root namespace. */
  readonly namespace: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** The name of a place's entry. */
function entryOf(place: string): string {
  return createHash("sha256").update(place).digest("hex");
}

/** What an entry says of a place. One without a time, or with one to come, could not be too old ever. */
function readEntry(entry: string, now: number): readonly [place: string, fetched: FetchedKeys] | undefined {
  try {
    const value = JSON.parse(Buffer.from(entry, "base64").toString()) as Readonly<Record<string, unknown>>;
    const { place, keys, at } = value;
    if (typeof place !== "string" || typeof keys !== "string" || typeof at !== "number") return undefined;
    const usable = publicKeys(keys);
    return usable === undefined ? undefined : [place, { keys: usable, at: Math.min(at, now) }];
  } catch {
    return undefined;
  }
}

/**
 * The last good keys of tokens by where they were fetched, kept in the mesh's API as soon as they are there: a control plane
 * that starts while an issuer is away goes on with them. Only public keys are kept.
 */
export class KeptKeys {
  readonly #options: KeptKeysOptions;
  readonly #known: Map<string, FetchedKeys>;
  readonly #queue: WorkQueue;

  private constructor(options: KeptKeysOptions, known: Map<string, FetchedKeys>) {
    this.#options = options;
    this.#known = known;
    const { clock, logger } = options;
    this.#queue = new WorkQueue({
      clock,
      work: async (place) => this.#write(place),
      failed: (place, error) => logger.warn("keys of tokens cannot be kept", { place, error: messageOf(error) }),
    });
  }

  /** Reads what is kept; nothing is where that cannot be read. */
  static async open(options: KeptKeysOptions): Promise<KeptKeys> {
    const { client, namespace, clock, logger } = options;
    try {
      const found = await client.of<Secret>(secretKind).find({ namespace, name });
      const entries = Object.values(found?.data ?? {}).flatMap((entry) => {
        const read = readEntry(entry, clock.now());
        return read ? [read] : [];
      });
      return new KeptKeys(options, new Map(entries));
    } catch (error) {
      logger.warn("the kept keys of tokens cannot be read", { error: messageOf(error) });
      return new KeptKeys(options, new Map());
    }
  }

  /** The keys that were last good at a place. */
  of(place: string): FetchedKeys | undefined {
    return this.#known.get(place);
  }

  /** Keeps the keys of a place, or forgets the place without keys. */
  keep(place: string, fetched: FetchedKeys | undefined): void {
    const keys = fetched && publicKeys(fetched.keys);
    const known = this.#known.get(place);
    if (keys === undefined || !fetched) {
      if (!known) return;
      this.#known.delete(place);
    } else {
      if (known?.keys === keys && fetched.at - known.at < lateMs) return;
      this.#known.set(place, { keys, at: fetched.at });
    }
    this.#queue.add(place);
  }

  /** Forgets all other places. */
  keepOnly(places: ReadonlySet<string>): void {
    for (const place of this.#known.keys()) if (!places.has(place)) this.keep(place, undefined);
  }

  /** Writes what changes until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  async #write(place: string): Promise<void> {
    const { client, namespace, logger } = this.#options;
    const fetched = this.#known.get(place);
    const characters = [...this.#known.values()].reduce((sum, { keys }) => sum + keys.length, 0);
    const tooMany = characters > mostCharacters;
    if (tooMany) logger.warn("keys of tokens are not kept: there are too many", { place, characters, mostCharacters });
    const entry = !fetched || tooMany ? null : Buffer.from(JSON.stringify({ place, ...fetched })).toString("base64");
    const secrets = client.of<Secret>(secretKind);
    const data = { [entryOf(place)]: entry };
    try {
      await secrets.patch({ namespace, name }, { kind: "merge", body: { data } });
    } catch (error) {
      if (codeOf(error) !== "NotFound") throw error;
      if (entry !== null)
        await secrets.create({ metadata: { namespace, name }, type: "Opaque", data: { [entryOf(place)]: entry } });
    }
  }
}

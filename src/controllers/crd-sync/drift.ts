import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "#kube/client.ts";

/** An object, or a kind, that a member and the mesh do not have alike. */
export interface Drift {
  /** The object: `virtualservices.networking.istio.io shop/reviews`. */
  readonly object: string;
  /** One word in upper camel case. */
  readonly reason: string;
  readonly message: string;
  /** RFC 3339. */
  readonly since: string;
}

/** What is told of a member. */
export interface DriftReport {
  /** How many there are, of which the first are told. */
  readonly total: number;
  readonly items: readonly Drift[];
}

/** Where the list of a member is kept in the mesh. */
export interface DriftPlace {
  readonly client: Client;
  readonly namespace: string;
  readonly member: string;
}

/** The label of the ConfigMaps that hold lists of drift. */
const driftLabel = "mesh.weft.dev/drift-of";
/** Objects that are told; there may be more. */
const mostTold = 500;
/** The longest message. */
const longest = 500;
/** Milliseconds between looks at whether the list has changed. */
const everyMs = 1_000;

function placeOf({ namespace, member }: DriftPlace): { readonly namespace: string; readonly name: string } {
  return { namespace, name: `weft-drift-${member}` };
}

/** What was told last of a member; undefined where nothing was. */
export async function readDrift(place: DriftPlace): Promise<DriftReport | undefined> {
  const map = await place.client.of<ConfigMap>(configMap).find(placeOf(place));
  const text = map?.data?.["drift"];
  return text === undefined ? undefined : (JSON.parse(text) as DriftReport);
}

/** Keeps the list of what one member and the mesh do not have alike. */
export class DriftList {
  readonly #place: DriftPlace;
  readonly #clock: Clock;
  readonly #logger: Logger;
  readonly #items = new Map<string, Drift>();
  #told: string | undefined;

  constructor(place: DriftPlace, { clock, logger }: { readonly clock: Clock; readonly logger: Logger }) {
    this.#place = place;
    this.#clock = clock;
    this.#logger = logger;
  }

  /** What is known now, by object. */
  get items(): ReadonlyMap<string, Drift> {
    return this.#items;
  }

  /** Something is not alike, and why. */
  differs(object: string, reason: string, message: string): void {
    const before = this.#items.get(object);
    const since = before?.reason === reason ? before.since : new Date(this.#clock.now()).toISOString();
    this.#items.set(object, { object, reason, message: message.slice(0, longest), since });
  }

  /** It is alike. */
  alike(object: string): void {
    this.#items.delete(object);
  }

  /** Writes the list when it has changed, until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        await this.#tell();
      } catch (error) {
        this.#logger.debug("the list of drift was not written", { error: messageOf(error) });
      }
      // Rejects when the signal aborts: then the work is over.
      await this.#clock.sleep(everyMs, signal).catch(() => undefined);
    }
  }

  async #tell(): Promise<void> {
    const items = [...this.#items.values()].toSorted((one, other) => (one.object < other.object ? -1 : 1));
    const drift = JSON.stringify({ total: items.length, items: items.slice(0, mostTold) } satisfies DriftReport);
    if (drift === this.#told) return;
    const { client, member } = this.#place;
    const maps = client.of<ConfigMap>(configMap);
    const place = placeOf(this.#place);
    try {
      await maps.patch(place, { kind: "merge", body: { data: { drift } } });
    } catch (error) {
      if (codeOf(error) !== "NotFound") throw error;
      await maps.create({ metadata: { ...place, labels: { [driftLabel]: member } }, data: { drift } });
    }
    this.#told = drift;
  }
}

import { type TypeUrl, typeUrls } from "#proto/encoded.ts";
import type { TypeState } from "./port.ts";
import type { Watch } from "./watch.ts";

/** Types in the order in which a change goes out, so that nothing names what the proxy lacks. */
const pushOrder: readonly TypeUrl[] = [
  typeUrls.secret,
  typeUrls.extension,
  typeUrls.cluster,
  typeUrls.endpoints,
  typeUrls.listener,
  typeUrls.route,
  typeUrls.virtualHost,
  typeUrls.nameTable,
  typeUrls.bootstrap,
];

/** A bit for each type, by which a stream remembers where something may be to send without a look at all its watches. */
const bits: ReadonlyMap<TypeUrl, number> = new Map(pushOrder.map((type, place) => [type, 1 << place]));

/** The watches of one stream, and those of them that are stirred: of which something may have to go out. */
export class Watches {
  readonly #watches = new Map<TypeUrl, Watch>();
  #stirred = 0;

  get(type: TypeUrl): Watch | undefined {
    return this.#watches.get(type);
  }

  set(type: TypeUrl, watch: Watch): void {
    this.#watches.set(type, watch);
  }

  all(): Iterable<Watch> {
    return this.#watches.values();
  }

  /** Whether there is nothing to send. */
  get still(): boolean {
    return this.#stirred === 0;
  }

  /** Something of a type may have to go out. */
  stir(type: TypeUrl): void {
    this.#stirred |= bits.get(type) ?? 0;
  }

  /** In the order in which they go out; what is sent may stir those that come later. */
  *stirred(): Generator<Watch> {
    for (const [type, bit] of bits) {
      const watch = (this.#stirred & bit) === 0 ? undefined : this.#watches.get(type);
      if (watch) yield watch;
    }
  }

  /** Lets those rest of which everything went out. */
  rest(): void {
    for (const { type, pending, keeping, late } of this.stirred())
      if (!pending && !keeping && !late) this.#stirred &= ~(bits.get(type) ?? 0);
  }

  /** Whether something that is to go out must not wait for the next change. */
  get urgent(): boolean {
    for (const watch of this.#watches.values()) if (watch.urgent) return true;
    return false;
  }

  /** Whether something of a change is still to go out, or to be answered; while more are pressing, besides what goes with the next. */
  unsettled(pressed: boolean): boolean {
    for (const watch of this.#watches.values())
      if (pressed ? watch.unanswered || (watch.urgent && !watch.isNew) : watch.unsettled) return true;
    return false;
  }

  /** How each type stands; `never` those that were not asked for. */
  states(never: TypeState): Readonly<Record<string, TypeState>> {
    return Object.fromEntries(pushOrder.map((type) => [type, this.#watches.get(type)?.status() ?? never]));
  }

  /** How the proxy stands with all types together: `NACKED` where it refuses something, `STALE` where it lacks something. */
  get standing(): "SYNCED" | "STALE" | "NACKED" {
    let worst: "SYNCED" | "STALE" = "SYNCED";
    for (const { standing } of this.#watches.values()) {
      if (standing === "NACKED") return standing;
      if (standing === "STALE") worst = standing;
    }
    return worst;
  }
}

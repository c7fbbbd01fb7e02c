import type { Clock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";

/** Milliseconds that a namespace waits for its cluster to be asked before it goes without. */
const patienceMs = 60_000;

/** Namespaces of one cluster that are kept in mind; of more, the oldest are forgotten. */
const most = 1_000;

/**
 * Namespaces that a member deletes while the member itself cannot be asked, neither for its namespaces nor for who may do what. They
 * wait for a while, then go and leave the mesh's objects; what that means for these is settled when the member can be asked again.
 */
export class MissedDepartures {
  readonly #clock: Clock;
  /** When each was first refused, on the monotonic clock. */
  readonly #since = new Map<string, number>();
  readonly #left = new Set<string>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether a namespace that is refused has waited for long enough and goes. */
  letsGo(namespace: string): boolean {
    const now = this.#clock.monotonic();
    const since = this.#since.get(namespace) ?? now;
    this.#since.set(namespace, since);
    const [oldest] = this.#since.keys();
    if (this.#since.size > most && oldest !== undefined) {
      this.#since.delete(oldest);
      this.#left.delete(oldest);
    }
    if (now - since < patienceMs) return false;
    this.#left.add(namespace);
    return true;
  }

  /** Settles what can be. @param settle as `settleDeparture`. */
  async settle(settle: (namespace: string) => Promise<boolean>): Promise<void> {
    for (const namespace of this.#left) {
      try {
        if (!(await settle(namespace))) continue;
      } catch (error) {
        if (codeOf(error) === "Unavailable") return;
        throw error;
      }
      this.#left.delete(namespace);
      this.#since.delete(namespace);
    }
  }
}

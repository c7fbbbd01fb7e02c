import { Allowance } from "#base/allowance.ts";
import type { Clock } from "#base/clock.ts";
import type { XdsLimits } from "./limits.ts";
import { tooManyNodes } from "./misconduct.ts";

/** The node ids that are claimed over one listening address: how many at once, and how fast such come that nobody has seen. */
export class Claims {
  /** The address, for people. */
  readonly address: string;
  readonly #limits: XdsLimits;
  readonly #newcomers: Allowance;
  /** Streams of each node id. */
  readonly #nodes = new Map<string, number>();

  constructor(address: string, limits: XdsLimits, clock: Clock) {
    const { newNodesPerSecond, newNodeBurst, longestHoldMs } = limits;
    this.address = address;
    this.#limits = limits;
    this.#newcomers = new Allowance(newNodesPerSecond, newNodeBurst, longestHoldMs, () => clock.monotonic());
  }

  /**
   * A stream says whose it is.
   * @param isNew whether the node id was not seen before.
   * @returns milliseconds that it must wait.
   * @throws Misconduct when there are too many already.
   */
  enter(node: string, isNew: boolean): number {
    const streams = this.#nodes.get(node) ?? 0;
    if (streams === 0 && this.#nodes.size >= this.#limits.nodesPerAddress)
      throw tooManyNodes(this.address, this.#limits);
    this.#nodes.set(node, streams + 1);
    return !isNew || this.#newcomers.spend(1) ? 0 : this.#newcomers.waitMs;
  }

  /** A stream ended. */
  leave(node: string): void {
    const streams = (this.#nodes.get(node) ?? 0) - 1;
    if (streams > 0) this.#nodes.set(node, streams);
    else this.#nodes.delete(node);
  }
}

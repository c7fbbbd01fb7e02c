import { WeftError } from "#base/errors.ts";

/** Bounds on what one proxy may cost, and on what all may at once. */
export interface XdsLimits {
  /** Requests a second that one stream may send for long. */
  readonly requestsPerSecond: number;
  /** Requests that it may send at once. */
  readonly requestBurst: number;
  /** Names that one stream may ask for, for each type. */
  readonly namesPerType: number;
  /** Characters of one name. */
  readonly nameLength: number;
  /** Bytes of one request. */
  readonly requestBytes: number;
  /** Streams on one connection. */
  readonly streamsPerConnection: number;
  /** Bytes that may wait, over all streams, for peers to take them: a quarter for changes. A stalled peer stops counting. */
  readonly unsentBytes: number;
  /** Bytes up to which responses, and parts of them, are remembered for the next proxy at the same point. */
  readonly rememberedBytes: number;
  /** Milliseconds after which a peer that takes nothing stops counting against `unsentBytes`. */
  readonly stalledMs: number;
  /** Milliseconds after which a peer that takes nothing is disconnected. */
  readonly takeTimeoutMs: number;
  /** Milliseconds that routes wait for the clusters (and clusters' removal for the routes) of a silent proxy. */
  readonly orderTimeoutMs: number;
}

/** What a mesh of thousands of services stays far below. */
export const defaultLimits: XdsLimits = {
  requestsPerSecond: 200,
  requestBurst: 2000,
  namesPerType: 100_000,
  nameLength: 2048,
  requestBytes: 32 * 1024 * 1024,
  streamsPerConnection: 1000,
  unsentBytes: 32 * 1024 * 1024,
  rememberedBytes: 32 * 1024 * 1024,
  stalledMs: 5000,
  takeTimeoutMs: 60_000,
  orderTimeoutMs: 5000,
};

/** A token bucket. */
export class RateLimit {
  readonly #perSecond: number;
  readonly #burst: number;
  readonly #monotonic: () => number;
  #tokens: number;
  #at: number;

  /** @param monotonic milliseconds that never run backwards. */
  constructor(perSecond: number, burst: number, monotonic: () => number) {
    this.#perSecond = perSecond;
    this.#burst = burst;
    this.#monotonic = monotonic;
    this.#tokens = burst;
    this.#at = monotonic();
  }

  /** Whether one more is within the limit. */
  take(): boolean {
    const now = this.#monotonic();
    this.#tokens = Math.min(this.#burst, this.#tokens + ((now - this.#at) * this.#perSecond) / 1000);
    this.#at = now;
    if (this.#tokens < 1) return false;
    this.#tokens -= 1;
    return true;
  }
}

/** @throws WeftError `ResourceExhausted` when a list of names is too long or holds one that is. */
export function checkNames(names: readonly string[], limits: XdsLimits): void {
  if (names.length > limits.namesPerType) {
    throw new WeftError(
      "ResourceExhausted",
      `${names.length} names were asked for at once; the limit is ${limits.namesPerType}`,
    );
  }
  const long = names.find((name) => name.length > limits.nameLength);
  if (long !== undefined) {
    throw new WeftError(
      "ResourceExhausted",
      `a name of ${long.length} characters was asked for; the limit is ${limits.nameLength}`,
    );
  }
}

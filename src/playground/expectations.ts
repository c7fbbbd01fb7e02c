import type { Clock } from "#base/clock.ts";

/** After so long what was expected is given up; the local copy may have missed it while the API server was away. */
const patienceMs = 30_000;

interface Expected {
  creations: number;
  readonly deletions: Set<string>;
  readonly since: number;
}

/**
 * What a controller has done and not yet seen in its local copy. While something is expected, the copy is too old to
 * count by, or a controller would create twice what is missing.
 */
export class Expectations {
  readonly #clock: Clock;
  readonly #expected = new Map<string, Expected>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** So many objects are about to be created for the key. */
  expectCreations(key: string, count: number): void {
    this.#expected.set(key, { creations: count, deletions: new Set(), since: this.#clock.monotonic() });
  }

  /** The objects of these uids are about to be deleted for the key. */
  expectDeletions(key: string, uids: readonly string[]): void {
    this.#expected.set(key, { creations: 0, deletions: new Set(uids), since: this.#clock.monotonic() });
  }

  /** One creation was seen, or failed. */
  created(key: string): void {
    const expected = this.#expected.get(key);
    if (expected !== undefined) expected.creations -= 1;
  }

  /** A deletion was seen, or failed. */
  deleted(key: string, uid: string): void {
    this.#expected.get(key)?.deletions.delete(uid);
  }

  /** Milliseconds until the key's local copy may be counted by at the latest; 0 when it may now. */
  waiting(key: string): number {
    const expected = this.#expected.get(key);
    if (expected === undefined || (expected.creations <= 0 && expected.deletions.size === 0)) return 0;
    return Math.max(0, expected.since + patienceMs - this.#clock.monotonic());
  }

  forget(key: string): void {
    this.#expected.delete(key);
  }
}

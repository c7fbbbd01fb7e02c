import type { Clock } from "#base/clock.ts";
import { WeftError, type ErrorCode } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { XdsLimits } from "./limits.ts";
import type { ConductCode, ProxyFinding, ProxyNode } from "./port.ts";

/** A stream must be ended because of what its proxy did. */
export class Misconduct extends WeftError {
  readonly conduct: ConductCode;
  /** As in a finding. */
  readonly what: string;

  constructor(conduct: ConductCode, code: ErrorCode, what: string, cause?: unknown) {
    super(code, `the proxy ${what}`, cause);
    this.conduct = conduct;
    this.what = what;
  }
}

/** Who did something, as in a finding. */
export type Peer = Pick<ProxyFinding, "node" | "cluster">;

/** Who has not said who it is. */
export const unnamed: Peer = { node: "", cluster: "" };

/** Whom a proxy says that it is. */
export function peerOf({ id, metadata }: ProxyNode): Peer {
  const { CLUSTER_ID: cluster } = metadata;
  return { node: id, cluster: typeof cluster === "string" ? cluster : "" };
}

/** Findings that are kept; the one whose last time is longest ago goes first. */
const mostFindings = 1000;

/** What proxies did that they should not: one finding for each proxy and kind, until it has not happened for a while. */
export class Conduct implements Disposable {
  readonly #clock: Clock;
  readonly #quietMs: number;
  readonly #logger: Logger;
  readonly #changed: () => void;
  /** In the order of their last times. */
  readonly #findings = new Map<string, ProxyFinding>();
  #sweep: Disposable | undefined;

  /** @param changed a finding came or went. */
  constructor(clock: Clock, { findingMs }: XdsLimits, logger: Logger, changed: () => void) {
    this.#clock = clock;
    this.#quietMs = findingMs;
    this.#logger = logger;
    this.#changed = changed;
  }

  /** A proxy did something that it should not. */
  note({ node, cluster }: Peer, code: ConductCode, what: string): void {
    this.#expire();
    const key = `${code} ${node}`;
    const now = this.#clock.now();
    const { since, count } = this.#findings.get(key) ?? { since: now, count: 0 };
    this.#findings.delete(key);
    this.#findings.set(key, { node, cluster, code, what, since, last: now, count: count + 1 });
    if (count > 0) return;
    // What goes on is counted, and not logged again: a loop must not fill the disk.
    this.#logger.warn("a proxy does what it should not", { node, code, what });
    const [oldest] = this.#findings.keys();
    if (this.#findings.size > mostFindings && oldest !== undefined) this.#findings.delete(oldest);
    this.#sweep ??= this.#clock.every(this.#quietMs / 4, () => this.#expire());
    this.#changed();
  }

  /** What stands now. */
  findings(): readonly ProxyFinding[] {
    this.#expire();
    return [...this.#findings.values()];
  }

  [Symbol.dispose](): void {
    this.#sweep?.[Symbol.dispose]();
    this.#findings.clear();
  }

  #expire(): void {
    const before = this.#findings.size;
    const until = this.#clock.now() - this.#quietMs;
    for (const [key, { last }] of this.#findings) {
      if (last > until) break;
      this.#findings.delete(key);
    }
    if (this.#findings.size < before) this.#changed();
    if (this.#findings.size > 0) return;
    this.#sweep?.[Symbol.dispose]();
    this.#sweep = undefined;
  }
}

import { Backoff } from "#base/backoff.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { WorkloadCertificate } from "./issued.ts";

/** How a certificate is kept good. */
export interface HolderOptions {
  /** Gets a certificate of a new key. */
  readonly issue: () => Promise<WorkloadCertificate>;
  readonly clock: Clock;
  /** Milliseconds after which a certificate is to be replaced, however long it is good; undefined for most. */
  readonly early?: (certificate: WorkloadCertificate) => number | undefined;
  /** Told when there is another certificate, and when its state has changed. */
  readonly changed: () => void;
  /** Milliseconds within which a certificate is replaced when that is asked for; 5,000 unless told. */
  readonly spreadMs?: number;
  /** Source of randomness in [0, 1). */
  readonly random?: () => number;
}

/** How a certificate stands. */
export interface CertificateState {
  /**
   * `Waiting` before there is one, `Expiring` when little of its life is left and it could not be renewed, `Expired` when nothing
   * of it is.
   */
  readonly phase: "Waiting" | "Valid" | "Expiring" | "Expired";
  /** Milliseconds since the epoch; absent before there is one. */
  readonly notAfter?: number;
  /** In hexadecimal. */
  readonly serialNumber?: string;
  /** Why the last request for one failed; absent when it did not. */
  readonly problem?: string;
}

/** The part of its life at whose begin a certificate is replaced, and how far that is moved by chance: Istio's. */
const graceRatio = 0.5;
const graceJitter = 0.01;
/** The part of its life at whose begin one that could not be replaced is told of. */
const warnRatio = 0.2;
const defaultSpreadMs = 5000;
/** The least time between two certificates, however short they live. */
const leastMs = 1000;
/** How many times as long it takes until the next request where there is a certificate to go on with. */
const patience = 6;
/** The longest look ahead: clocks are set, and machines sleep. */
const lookMs = 60_000;

/** Milliseconds since the epoch at which a certificate is replaced. */
function renewalOf({ notAfter }: WorkloadCertificate, since: number, random: () => number): number {
  const ratio = graceRatio + graceJitter * (2 * random() - 1);
  return Math.max(notAfter - ratio * (notAfter - since), since + leastMs);
}

/**
 * Holds one workload's certificate: asks for it until there is one, replaces it when half of its life is over, and goes on with what
 * it has while none is to be had.
 */
export class CertificateHolder implements Disposable {
  readonly #options: HolderOptions;
  readonly #end = new AbortController();
  readonly #backoff: Backoff;
  #current: WorkloadCertificate | undefined;
  /** When the current one came. */
  #since = 0;
  /** When it is to be replaced. */
  #renewal = 0;
  /** Ends the wait until then. */
  #nudge = new AbortController();
  #problem: string | undefined;
  #told: string | undefined;

  constructor(options: HolderOptions) {
    this.#options = options;
    const { random } = options;
    this.#backoff = new Backoff({ initialMs: 200, maxMs: 5000, ...(random && { random }) });
  }

  /** The certificate as it is now; undefined before there is one. It may have expired. */
  get current(): WorkloadCertificate | undefined {
    return this.#current;
  }

  /** How it stands. */
  get state(): CertificateState {
    const now = this.#options.clock.now();
    const problem = this.#problem === undefined ? {} : { problem: this.#problem };
    if (!this.#current) return { phase: "Waiting", ...problem };
    const { notAfter, serialNumber } = this.#current;
    const nearing = notAfter - now <= warnRatio * (notAfter - this.#since);
    const phase = notAfter <= now ? "Expired" : nearing ? "Expiring" : "Valid";
    return { phase, notAfter, serialNumber, ...problem };
  }

  /** Begins. */
  start(): void {
    void this.#run(this.#end.signal);
  }

  /** Replaces the certificate: at once, or within seconds, spread by chance, since all of a node may be told. */
  renew(when: "now" | "soon" = "soon"): void {
    const { clock, spreadMs = defaultSpreadMs, random = Math.random } = this.#options;
    this.#renewal = Math.min(this.#renewal, clock.now() + (when === "now" ? 0 : random() * spreadMs));
    this.#nudge.abort();
  }

  /** Ends; the certificate is forgotten. */
  [Symbol.dispose](): void {
    this.#end.abort();
    this.#current = undefined;
  }

  async #run(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while (!signal.aborted) {
      const due = this.#renewal - clock.now();
      if (due <= 0 && (await this.#replace(signal))) continue;
      this.#tell();
      if (due > 0) this.#nudge = new AbortController();
      const waits = due > 0 ? AbortSignal.any([signal, this.#nudge.signal]) : signal;
      await clock.sleep(due > 0 ? Math.min(due, lookMs) : this.#retryMs(), waits).catch(() => undefined);
    }
  }

  /** Milliseconds until a request that failed is sent again: a proxy that has nothing yet waits for it. */
  #retryMs(): number {
    return this.#backoff.next() * (this.#current ? patience : 1);
  }

  async #replace(signal: AbortSignal): Promise<boolean> {
    const { clock, early, random = Math.random } = this.#options;
    try {
      const issued = await this.#options.issue();
      if (signal.aborted) return false;
      this.#current = issued;
      this.#since = clock.now();
      const soonest = this.#since + (early?.(issued) ?? Infinity);
      this.#renewal = Math.min(renewalOf(issued, this.#since, random), soonest);
      this.#problem = undefined;
      this.#backoff.reset();
      this.#tell(true);
      return true;
    } catch (error) {
      this.#problem = messageOf(error);
      return false;
    }
  }

  /** Says that the state, or the certificate, is another one. */
  #tell(always = false): void {
    const { phase, problem = "" } = this.state;
    const now = `${phase} ${problem}`;
    if (now === this.#told && !always) return;
    this.#told = now;
    this.#options.changed();
  }
}

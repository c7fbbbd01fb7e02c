import type { LoadTarget, Result } from "./generator.ts";
import { Latencies } from "./latencies.ts";

/** What a load generator says each second, as one line of JSON. Rates are of the time since the line before. */
export interface LoadReport {
  /** RFC 3339. */
  readonly time: string;
  /** Requests a second that are wanted. */
  readonly target: number;
  /** Answers a second, of any kind. */
  readonly perSecond: number;
  readonly errorsPerSecond: number;
  /** Answers since the start, and how many of them were errors: failures, and responses of status 500 and above. */
  readonly requests: number;
  readonly errors: number;
  /** Since the start: responses by status, and failures by kind (`timeout`, `reset`, `refused`, `failed`). */
  readonly outcomes: Readonly<Record<string, number>>;
  /** Requests not sent since the start because too many were in flight. */
  readonly skipped: number;
  readonly inFlight: number;
  /** Milliseconds, of the time since the line before. */
  readonly p50Ms: number;
  readonly p90Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
}

function tenth(value: number): number {
  return Math.round(value * 10) / 10;
}

/** Counts results and sums them up when asked. */
export class LoadCounter {
  readonly #latencies = new Latencies();
  readonly #outcomes: Record<string, number> = {};
  #requests = 0;
  #errors = 0;
  #windowErrors = 0;
  #skipped = 0;
  #since: number;

  /** @param now monotonic milliseconds. */
  constructor(now: number) {
    this.#since = now;
  }

  add({ ms, outcome }: Result): void {
    const name = outcome.kind === "response" ? String(outcome.status) : outcome.kind;
    this.#outcomes[name] = (this.#outcomes[name] ?? 0) + 1;
    this.#requests += 1;
    this.#latencies.add(ms);
    if (outcome.kind === "response" && outcome.status < 500) return;
    this.#errors += 1;
    this.#windowErrors += 1;
  }

  skip(): void {
    this.#skipped += 1;
  }

  /** Sums up, and begins the next span of time. */
  report(now: number, wallMs: number, target: LoadTarget, inFlight: number): LoadReport {
    const seconds = Math.max(0.001, (now - this.#since) / 1000);
    const report: LoadReport = {
      time: new Date(wallMs).toISOString(),
      target: target.rps,
      perSecond: tenth(this.#latencies.count / seconds),
      errorsPerSecond: tenth(this.#windowErrors / seconds),
      requests: this.#requests,
      errors: this.#errors,
      outcomes: { ...this.#outcomes },
      skipped: this.#skipped,
      inFlight,
      p50Ms: tenth(this.#latencies.percentile(0.5)),
      p90Ms: tenth(this.#latencies.percentile(0.9)),
      p99Ms: tenth(this.#latencies.percentile(0.99)),
      maxMs: tenth(this.#latencies.max),
    };
    this.#since = now;
    this.#windowErrors = 0;
    this.#latencies.reset();
    return report;
  }
}

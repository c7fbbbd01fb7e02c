import { Allowance } from "./allowance.ts";
import type { Clock } from "./clock.ts";
import type { LogFields, Logger } from "./logger.ts";

/** Milliseconds within which the same is said once. */
const onceMs = 60_000;
/** Lines of all things together: a second, and at once after quiet. */
const [perSecond, burst] = [5, 50];
/** Things that are remembered; those said longest ago go first. */
const mostRemembered = 1000;
/** Characters of a text that are written: whoever is refused may have chosen them. */
const longestText = 300;

interface Said {
  readonly at: number;
  /** How often it was since. */
  again: number;
}

function clipped(fields: LogFields): LogFields {
  const short = Object.entries(fields).map(
    ([name, value]) =>
      [
        name,
        typeof value === "string" && value.length > longestText ? `${value.slice(0, longestText)}…` : value,
      ] as const,
  );
  return Object.fromEntries(short);
}

/**
 * Says what strangers can cause at will, as often as they like: the same once a minute, with how often it was before (`again`),
 * and of all together so much a second, with how many were left out (`unsaid`).
 */
export class SparingLog {
  readonly #logger: Logger;
  readonly #clock: Clock;
  readonly #allowance: Allowance;
  readonly #said = new Map<string, Said>();
  #unsaid = 0;

  constructor(logger: Logger, clock: Clock) {
    this.#logger = logger;
    this.#clock = clock;
    this.#allowance = new Allowance(perSecond, burst, 1000, () => clock.monotonic());
  }

  /** Says something; what has the same fields is the same. */
  say(level: "info" | "warn", message: string, fields: LogFields): void {
    const short = clipped(fields);
    const key = `${message} ${JSON.stringify(short)}`;
    const now = this.#clock.monotonic();
    const before = this.#said.get(key);
    if (before && now - before.at < onceMs) {
      before.again += 1;
      return;
    }
    if (this.#allowance.waitMs > 0) {
      this.#unsaid += 1;
      return;
    }
    this.#allowance.spend(1);
    this.#said.delete(key);
    this.#said.set(key, { at: now, again: 0 });
    const [oldest] = this.#said.keys();
    if (this.#said.size > mostRemembered && oldest !== undefined) this.#said.delete(oldest);
    const again = before?.again ?? 0;
    const more = { ...(again > 0 && { again }), ...(this.#unsaid > 0 && { unsaid: this.#unsaid }) };
    this.#unsaid = 0;
    this.#logger[level](message, { ...short, ...more });
  }
}

import type { Clock } from "#base/clock.ts";
import { ApiError } from "./status.ts";
import { group, type User } from "./user.ts";

/** What one user may ask of an endpoint at a time. */
export interface LimitOptions {
  /** Requests a second in the long run; 500 unless told. */
  readonly perSecond?: number;
  /** Requests at once after quiet; 1,000 unless told. */
  readonly burst?: number;
  /** Requests in flight of all users together; 400 unless told. Watches do not count. */
  readonly inFlight?: number;
  /** Watches, and other requests without an end, of one user; 1,000 unless told. */
  readonly watches?: number;
}

/** One user's account. */
interface Account {
  tokens: number;
  /** When `tokens` was right, on the monotonic clock. */
  at: number;
  inFlight: number;
  watches: number;
}

/** Accounts that are kept of users who ask for nothing now. */
const mostAccounts = 10_000;

function tooMany(seconds: number): ApiError {
  return new ApiError("TooManyRequests", "too many requests, please try again later", {
    details: { retryAfterSeconds: Math.max(1, Math.ceil(seconds)) },
  });
}

/**
 * Sees to it that nobody's requests keep others' out: each user has an allowance of requests a second, and when as many are
 * in flight as may be, who has more than an equal share of them waits. Administrators are never kept out.
 */
export class Limits {
  readonly #options: Required<LimitOptions>;
  readonly #clock: Clock;
  readonly #accounts = new Map<string, Account>();
  #inFlight = 0;
  /** Users with requests in flight. */
  #active = 0;

  constructor(options: LimitOptions, clock: Clock) {
    this.#options = { perSecond: 500, burst: 1_000, inFlight: 400, watches: 1_000, ...options };
    this.#clock = clock;
  }

  /**
   * Takes in a request; to be disposed of when it is done.
   * @param endless it is a watch or the like.
   * @throws ApiError `TooManyRequests` that says when to try again.
   */
  enter(user: User, endless: boolean): Disposable {
    if (user.groups.includes(group.masters)) return { [Symbol.dispose]: () => undefined };
    const account = this.#account(user.name);
    this.#charge(account);
    if (endless) {
      if (account.watches >= this.#options.watches) throw tooMany(10);
      account.watches += 1;
      return { [Symbol.dispose]: () => void (account.watches -= 1) };
    }
    const share = this.#options.inFlight / Math.max(1, this.#active + (account.inFlight === 0 ? 1 : 0));
    // While there is room anybody has it; a full house is shared equally, and one place is everybody's.
    if (this.#inFlight >= this.#options.inFlight && account.inFlight >= Math.max(1, share)) throw tooMany(1);
    if (account.inFlight === 0) this.#active += 1;
    account.inFlight += 1;
    this.#inFlight += 1;
    return { [Symbol.dispose]: () => this.#leave(account) };
  }

  #leave(account: Account): void {
    account.inFlight -= 1;
    this.#inFlight -= 1;
    if (account.inFlight === 0) this.#active -= 1;
  }

  #charge(account: Account): void {
    const { perSecond, burst } = this.#options;
    const now = this.#clock.monotonic();
    account.tokens = Math.min(burst, account.tokens + ((now - account.at) / 1000) * perSecond);
    account.at = now;
    if (account.tokens < 1) throw tooMany((1 - account.tokens) / perSecond);
    account.tokens -= 1;
  }

  #account(name: string): Account {
    let account = this.#accounts.get(name);
    if (account === undefined) {
      if (this.#accounts.size >= mostAccounts) this.#forget();
      account = { tokens: this.#options.burst, at: this.#clock.monotonic(), inFlight: 0, watches: 0 };
      this.#accounts.set(name, account);
    }
    return account;
  }

  /** Forgets who asks for nothing and has a full allowance again. */
  #forget(): void {
    const { perSecond, burst } = this.#options;
    const full = this.#clock.monotonic() - (burst / perSecond) * 1000;
    for (const [name, { inFlight, watches, at }] of this.#accounts) {
      if (inFlight === 0 && watches === 0 && at < full) this.#accounts.delete(name);
    }
  }
}

import type { Clock } from "#base/clock.ts";
import { messageOf, WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Engine } from "#incremental/engine.ts";
import type { JwksRow, WantedJwks } from "#model/jwks.ts";
import { publicKeys } from "#model/key-set.ts";
import type { Model } from "#model/model.ts";
import { only } from "#model/services.ts";
import { fetchText } from "./fetch.ts";
import type { FetchedKeys, KeptKeys } from "./kept.ts";

/** What the keeper needs. */
export interface JwksKeeperOptions {
  readonly engine: Engine;
  readonly model: Model;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Outlives this process; absent where nothing does. */
  readonly kept?: Pick<KeptKeys, "of" | "keep" | "keepOnly">;
  /** Milliseconds between fetches of good keys; 20 minutes unless told, as in Istio. */
  readonly refreshMs?: number;
  /** Milliseconds of the first and of the longest wait after a failure; 5 s and 5 minutes unless told. */
  readonly retryMs?: { readonly first: number; readonly longest: number };
  /** Milliseconds for which keys that were good go on while no others can be had; a week unless told, as in Istio. */
  readonly keepMs?: number;
}

const minuteMs = 60_000;
const weekMs = 7 * 24 * 60 * minuteMs;
/** What a user's `timeout` may come to: a place that is slow must not hold its turn for long. */
const longestFetchMs = minuteMs;
const mostBytes = 1024 * 1024;
const mostRedirects = 3;
/** Places that are asked at once: one that is slow keeps no other waiting. */
const concurrency = 64;
/** Milliseconds between looks at whether all places have been asked. */
const askedStepMs = 20;

/**
 * Fetches the keys of tokens' issuers that RequestAuthentications want, again and again, and gives them to the model.
 * Where keys cannot be had, those that were last good go on for a time, also those of a control plane before this one: an
 * issuer that cannot be reached must not keep a key alive for ever that it has withdrawn.
 */
export class JwksKeeper implements Disposable {
  readonly #options: JwksKeeperOptions;
  readonly #queue: WorkQueue;
  readonly #observation: Disposable;
  readonly #known = new Map<string, JwksRow>();
  /** The keys that were fetched last, by their place. */
  readonly #good = new Map<string, FetchedKeys>();
  #wanted: ReadonlyMap<string, WantedJwks> = new Map();

  constructor(options: JwksKeeperOptions) {
    this.#options = options;
    const { clock, engine, model, retryMs = { first: 5000, longest: 5 * minuteMs } } = options;
    this.#queue = new WorkQueue({
      clock,
      concurrency,
      work: (key, signal) => this.#refresh(key, signal),
      failed: (key, error) => this.#failed(key, messageOf(error)),
      backoff: { initialMs: retryMs.first, maxMs: retryMs.longest },
    });
    const wanted = (): ReadonlyMap<string, WantedJwks> => model.policies.wantedJwks.get(only);
    this.#observation = engine.observe(model.policies.wantedJwks, only, () => this.#want(wanted()));
    this.#want(wanted());
    options.kept?.keepOnly(new Set(this.#wanted.keys()));
  }

  /** Fetches until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  /** Waits until each place that is wanted has been asked once, so that nobody is told of no keys who could have them. */
  async asked(signal: AbortSignal): Promise<void> {
    const { clock } = this.#options;
    while ([...this.#wanted.keys()].some((key) => !this.#known.has(key))) await clock.sleep(askedStepMs, signal);
  }

  [Symbol.dispose](): void {
    this.#observation[Symbol.dispose]();
  }

  #want(wanted: ReadonlyMap<string, WantedJwks>): void {
    const before = this.#wanted;
    this.#wanted = wanted;
    for (const key of new Set([...before.keys(), ...wanted.keys()])) {
      if (!before.has(key) || !wanted.has(key)) this.#queue.add(key);
    }
  }

  async #refresh(key: string, signal: AbortSignal): Promise<number | undefined> {
    const { clock, model, logger, refreshMs = 20 * minuteMs } = this.#options;
    // The model must not change while it tells of a change.
    await Promise.resolve();
    const wanted = this.#wanted.get(key);
    if (!wanted) {
      this.#known.delete(key);
      this.#good.delete(key);
      model.inputs.setJwks(key, undefined);
      this.#options.kept?.keep(key, undefined);
      return undefined;
    }
    const limits = { timeoutMs: Math.min(wanted.timeoutMs, longestFetchMs), mostBytes, mostRedirects };
    const get = (url: string): Promise<string> => fetchText(url, limits, clock, signal);
    const uri = wanted.uri === "" ? await this.#discovered(wanted.issuer, get) : wanted.uri;
    const keys = publicKeys(await get(uri));
    if (keys === undefined)
      throw new WeftError("FailedPrecondition", "the answer holds no public key that can verify a token");
    if (this.#known.get(key)?.keys !== keys) logger.info("keys of tokens were fetched", { place: key });
    this.#set(key, { keys });
    const good = { keys, at: clock.now() };
    this.#good.set(key, good);
    this.#options.kept?.keep(key, good);
    return refreshMs;
  }

  /** Where an issuer's own configuration says that its keys are (OpenID Connect Discovery 1.0, section 4). */
  async #discovered(issuer: string, get: (url: string) => Promise<string>): Promise<string> {
    if (!/^https?:\/\//i.test(issuer)) {
      throw new WeftError(
        "FailedPrecondition",
        `the issuer ${issuer} is no URL that could say it; set jwksUri or jwks`,
      );
    }
    const text = await get(`${issuer.replace(/\/$/, "")}/.well-known/openid-configuration`);
    const configuration = JSON.parse(text) as { readonly jwks_uri?: unknown } | null;
    const uri = configuration?.jwks_uri;
    if (typeof uri === "string" && /^https?:\/\//i.test(uri)) return uri;
    throw new WeftError("FailedPrecondition", "the issuer's OpenID configuration has no jwks_uri");
  }

  #failed(key: string, problem: string): void {
    if (this.#known.get(key)?.problem !== problem) {
      this.#options.logger.warn("keys of tokens cannot be fetched", { place: key, problem });
    }
    if (this.#wanted.has(key)) this.#set(key, { problem, ...this.#stillGood(key) });
  }

  /** The last good keys of a place, until they are too old; then they are forgotten. */
  #stillGood(key: string): JwksRow {
    const { clock, kept, logger, keepMs = weekMs } = this.#options;
    const good = this.#good.get(key) ?? kept?.of(key);
    if (!good) return {};
    const until = good.at + keepMs;
    if (clock.now() < until) return { keys: good.keys, until: new Date(until).toISOString() };
    logger.warn("keys of tokens are forgotten: they could not be fetched for too long", { place: key });
    this.#good.delete(key);
    kept?.keep(key, undefined);
    return {};
  }

  #set(key: string, row: JwksRow): void {
    this.#known.set(key, row);
    this.#options.model.inputs.setJwks(key, row);
  }
}

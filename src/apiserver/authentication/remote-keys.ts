import { createLocalJWKSet, type CryptoKey, type JSONWebKeySet, type JWSHeaderParameters } from "jose";
import type { Clock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";

/** Fetches a small document. @throws WeftError `Unavailable`. */
export type FetchText = (url: string) => Promise<string>;

type FindKey = ReturnType<typeof createLocalJWKSet>;

/** How long fetched keys are used, in milliseconds. */
const keepMs = 600_000;

/** Least time between fetches, however many tokens of unknown keys come. */
const pauseMs = 10_000;

/** An OpenID provider's configuration (OpenID Connect Discovery 1.0, 3), as far as it is read. */
interface Configuration {
  readonly issuer?: unknown;
  readonly jwks_uri?: unknown;
}

/**
 * The keys of a token issuer elsewhere, found by its configuration. They are fetched when a token needs them, again when they
 * are ten minutes old or lack a key, and never more than once in ten seconds. Keys that cannot be renewed are not used.
 */
export class RemoteKeys {
  readonly #issuer: string;
  readonly #fetch: FetchText;
  readonly #clock: Clock;
  #find: FindKey | undefined;
  #fetchedAt = -Infinity;
  #triedAt = -Infinity;
  #fetching: Promise<void> | undefined;

  constructor(issuer: string, fetchText: FetchText, clock: Clock) {
    this.#issuer = issuer;
    this.#fetch = fetchText;
    this.#clock = clock;
  }

  /** The key of a token. @throws WeftError `Unauthenticated` when there is none, or the keys cannot be had. */
  async find(header: JWSHeaderParameters): Promise<CryptoKey> {
    if (this.#clock.monotonic() - this.#fetchedAt > keepMs) await this.#refresh();
    try {
      return await this.#look(header);
    } catch (error) {
      const before = this.#fetchedAt;
      await this.#refresh().catch(() => undefined);
      if (this.#fetchedAt === before)
        throw new WeftError("Unauthenticated", "the key of the token is not known", error);
      return this.#look(header);
    }
  }

  async #look(header: JWSHeaderParameters): Promise<CryptoKey> {
    if (this.#find === undefined) throw new WeftError("Unauthenticated", `there are no keys of ${this.#issuer} yet`);
    return this.#find(header);
  }

  async #refresh(): Promise<void> {
    if (this.#fetching === undefined && this.#clock.monotonic() - this.#triedAt < pauseMs) {
      if (this.#clock.monotonic() - this.#fetchedAt <= keepMs) return;
      throw new WeftError("Unauthenticated", `the keys of ${this.#issuer} could not be fetched`);
    }
    this.#triedAt = this.#clock.monotonic();
    this.#fetching ??= this.#load().finally(() => (this.#fetching = undefined));
    await this.#fetching;
  }

  async #load(): Promise<void> {
    try {
      const url = `${this.#issuer.replace(/\/$/, "")}/.well-known/openid-configuration`;
      const { issuer, jwks_uri: keys } = JSON.parse(await this.#fetch(url)) as Configuration;
      if (issuer !== this.#issuer) throw new WeftError("Unavailable", "its configuration names another issuer");
      if (typeof keys !== "string" || !keys.startsWith("https://")) {
        throw new WeftError("Unavailable", "its configuration names no https:// URL of keys");
      }
      const set = JSON.parse(await this.#fetch(keys)) as JSONWebKeySet;
      this.#find = createLocalJWKSet(set);
      this.#fetchedAt = this.#clock.monotonic();
    } catch (error) {
      const reason = messageOf(error);
      throw new WeftError("Unauthenticated", `the keys of ${this.#issuer} could not be fetched: ${reason}`, error);
    }
  }
}

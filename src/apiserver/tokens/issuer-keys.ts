import { createPrivateKey, createPublicKey, generateKeyPairSync, randomBytes, type KeyObject } from "node:crypto";
import { readFileSync } from "node:fs";
import { exportJWK, type JWK } from "jose";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { writePrivate } from "../private-file.ts";

/** The one algorithm that tokens are signed with: ECDSA over P-256 (RFC 7518, 3.4). */
export const algorithm = "ES256";

const day = 24 * 3600_000;

/** Age at which a key is followed by a new one, in milliseconds. */
const rotateAfterMs = 90 * day;

/** How long a new key is published before it signs, so that those who keep the key set have seen it. */
const publishAheadMs = 2 * 3600_000;

/** How long a key is published after the one behind it signs: longer than any token lives. */
const retireAfterMs = 2 * day;

/** A key as its file keeps it. */
interface KeyRecord {
  readonly id: string;
  /** Milliseconds since the epoch. */
  readonly created: number;
  /** PKCS #8 in PEM. */
  readonly key: string;
}

/** A key at work. */
interface Key {
  readonly record: KeyRecord;
  readonly privateKey: KeyObject;
  readonly publicKey: KeyObject;
}

function load(record: KeyRecord): Key {
  const privateKey = createPrivateKey(record.key);
  return { record, privateKey, publicKey: createPublicKey(privateKey) };
}

function generate(now: number): Key {
  const { privateKey } = generateKeyPairSync("ec", {
    namedCurve: "P-256",
    privateKeyEncoding: { type: "pkcs8", format: "pem" },
    publicKeyEncoding: { type: "spki", format: "pem" },
  });
  return load({ id: randomBytes(12).toString("base64url"), created: now, key: privateKey });
}

function readRecords(path: string): readonly Key[] {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    if (error instanceof Error && "code" in error && error.code === "ENOENT") return [];
    throw new WeftError("Unavailable", `cannot read the token keys ${path}`, error);
  }
  try {
    const { keys } = JSON.parse(text) as { readonly keys: readonly KeyRecord[] };
    return keys.map(load);
  } catch (error) {
    const help = "restore it from a copy, or move it away, which makes all tokens invalid";
    throw new WeftError("FailedPrecondition", `the token keys ${path} are damaged: ${help}`, error);
  }
}

/**
 * The keys that sign an API's service-account tokens: the newest that was published long enough signs, all verify. A key
 * is followed by a new one after 90 days, and forgotten when no token of it can be valid any more.
 */
export class IssuerKeys {
  readonly #path: string | undefined;
  readonly #clock: Clock;
  /** The oldest first. */
  #keys: readonly Key[];

  private constructor(path: string | undefined, clock: Clock, keys: readonly Key[]) {
    this.#path = path;
    this.#clock = clock;
    this.#keys = keys;
  }

  /**
   * @param path the file that keeps them, made if need be (mode 0600); without one they live as long as the process.
   * @throws WeftError `Unavailable` when the file cannot be read or written, `FailedPrecondition` when it is damaged.
   */
  static open(path: string | undefined, clock: Clock): IssuerKeys {
    const keys = new IssuerKeys(path, clock, path === undefined ? [] : readRecords(path));
    keys.maintain();
    return keys;
  }

  /** The key that signs now. */
  get signing(): { readonly id: string; readonly key: KeyObject } {
    const now = this.#clock.now();
    const known = this.#keys.findLast(({ record }) => record.created <= now - publishAheadMs);
    const { record, privateKey } = known ?? this.#oldest();
    return { id: record.id, key: privateKey };
  }

  /** The public key of an id. */
  find(id: string | undefined): KeyObject | undefined {
    return this.#keys.find(({ record }) => record.id === id)?.publicKey;
  }

  /** The public keys as a JSON Web Key Set (RFC 7517, 5). */
  async jwks(): Promise<{ readonly keys: readonly JWK[] }> {
    const keys = this.#keys.map(async ({ record, publicKey }) => ({
      ...(await exportJWK(publicKey)),
      use: "sig",
      kid: record.id,
      alg: algorithm,
    }));
    return { keys: await Promise.all(keys) };
  }

  /** Does what is due: the first key, the next one, the end of old ones. Called at start and once an hour. */
  maintain(): void {
    const now = this.#clock.now();
    const newest = this.#keys.at(-1);
    const due = newest === undefined || now - newest.record.created > rotateAfterMs;
    const kept = this.#keys.filter((_, index) => {
      const next = this.#keys[index + 1];
      return next === undefined || now - next.record.created < publishAheadMs + retireAfterMs;
    });
    if (due) this.#save([...kept, generate(now)]);
    else if (kept.length < this.#keys.length) this.#save(kept);
  }

  /** Follows the newest key by a new one now, such as after a machine was lost. It signs when it has been published. */
  rotate(): void {
    this.#save([...this.#keys, generate(this.#clock.now())]);
  }

  #oldest(): Key {
    const [key] = this.#keys;
    if (key === undefined) throw new WeftError("Internal", "there is no key to sign tokens with");
    return key;
  }

  #save(keys: readonly Key[]): void {
    const text = JSON.stringify({ keys: keys.map(({ record }) => record) });
    if (this.#path !== undefined) writePrivate(this.#path, text);
    this.#keys = keys;
  }
}

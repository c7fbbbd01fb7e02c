import { readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { WeftError } from "#base/errors.ts";
import { writePrivate } from "../private-file.ts";

/** What is known of a certificate that may have been revoked. */
export interface ShownCertificate {
  readonly user: string;
  /** The serial number, as hexadecimal digits. */
  readonly serial: string;
  /** When it was made, in milliseconds since the epoch, to the second. */
  readonly made: number;
}

/** What is revoked: one certificate, or all of a user that were made until a moment. */
export type Revocation = { readonly serial: string } | { readonly user: string; readonly until: number };

/** What stands in the file. Moments are milliseconds since the epoch. */
interface Revoked {
  readonly serials: readonly string[];
  readonly users: Readonly<Record<string, number>>;
}

const nothing: Revoked = { serials: [], users: {} };

const secondMs = 1000;

/** A serial number in one form: without leading zeros, colons and `0x`. */
function canonicalSerial(text: string): string {
  return text
    .replaceAll(":", "")
    .replace(/^0x/i, "")
    .replace(/^0+(?=.)/, "")
    .toUpperCase();
}

function isRevoked(value: unknown): value is Revoked {
  if (typeof value !== "object" || value === null) return false;
  const { serials, users } = value as Partial<Revoked>;
  return (
    Array.isArray(serials) &&
    serials.every((serial) => typeof serial === "string") &&
    typeof users === "object" &&
    users !== null &&
    Object.values(users).every((moment) => typeof moment === "number")
  );
}

/** Which client certificates of an endpoint are taken no more, in `revoked.json` of its state folder. */
export class Revocations {
  readonly #path: string | undefined;
  #stamp: string | undefined;
  #serials: ReadonlySet<string> = new Set();
  #users: ReadonlyMap<string, number> = new Map();

  private constructor(path: string | undefined) {
    this.#path = path;
  }

  /**
   * @param folder the endpoint's state folder; without one nothing is revoked.
   * @throws WeftError `FailedPrecondition` for a file that cannot be read: nobody would know whom to refuse.
   */
  static open(folder: string | undefined): Revocations {
    const revocations = new Revocations(folder === undefined ? undefined : join(folder, "revoked.json"));
    revocations.refresh();
    return revocations;
  }

  /** Whether a certificate is revoked. */
  covers({ user, serial, made }: ShownCertificate): boolean {
    return this.#serials.has(canonicalSerial(serial)) || made <= (this.#users.get(user) ?? -Infinity);
  }

  /** The first moment at which a user's certificate may be made so that it is taken. */
  free(user: string): number {
    const until = this.#users.get(user);
    return until === undefined ? -Infinity : (Math.floor(until / secondMs) + 1) * secondMs;
  }

  /**
   * Reads the file again where it has changed.
   * @throws WeftError `FailedPrecondition` for one that cannot be read; what was known goes on.
   */
  refresh(): void {
    if (this.#path === undefined) return;
    const stamp = stampOf(this.#path);
    if (stamp === undefined || stamp === this.#stamp) return;
    this.#take(read(this.#path));
    this.#stamp = stamp;
  }

  /** Revokes. @throws WeftError `FailedPrecondition`, `Unavailable`. */
  add(revocation: Revocation): void {
    if (this.#path === undefined)
      throw new WeftError("FailedPrecondition", "there is no folder to keep revocations in");
    const { serials, users } = stampOf(this.#path) === undefined ? nothing : read(this.#path);
    const revoked =
      "serial" in revocation
        ? { serials: [...new Set([...serials, canonicalSerial(revocation.serial)])], users }
        : { serials, users: { ...users, [revocation.user]: Math.max(users[revocation.user] ?? 0, revocation.until) } };
    writePrivate(this.#path, `${JSON.stringify(revoked, undefined, 2)}\n`);
    this.#take(revoked);
  }

  #take({ serials, users }: Revoked): void {
    this.#serials = new Set(serials.map(canonicalSerial));
    this.#users = new Map(Object.entries(users));
  }
}

/** What changes when the file does; undefined where there is none. */
function stampOf(path: string): string | undefined {
  const found = statSync(path, { throwIfNoEntry: false, bigint: true });
  return found && `${found.ino} ${found.mtimeNs} ${found.size}`;
}

function read(path: string): Revoked {
  try {
    const value: unknown = JSON.parse(readFileSync(path, "utf8"));
    if (isRevoked(value)) return value;
  } catch (error) {
    throw new WeftError("FailedPrecondition", `${path} is no list of revocations: restore it from a copy`, error);
  }
  throw new WeftError("FailedPrecondition", `${path} is no list of revocations: restore it from a copy`);
}

import { createCipheriv, createDecipheriv, randomBytes } from "node:crypto";
import { WeftError } from "#base/errors.ts";
import type { NamedKey } from "./key-file.ts";

/** Begins an encrypted record: a form that no JSON has, and its version. */
const prefix = "weft:sealed:1:";

const algorithm = "aes-256-gcm";
const nonceBytes = 12;
const tagBytes = 16;

/** Nonce, tag and what was encrypted, one after the other. */
function encrypt(key: Buffer, data: Buffer, about: string): Buffer {
  const nonce = randomBytes(nonceBytes);
  const cipher = createCipheriv(algorithm, key, nonce).setAAD(Buffer.from(about));
  const sealed = Buffer.concat([cipher.update(data), cipher.final()]);
  return Buffer.concat([nonce, cipher.getAuthTag(), sealed]);
}

function decrypt(key: Buffer, bytes: Buffer, about: string): Buffer {
  const nonce = bytes.subarray(0, nonceBytes);
  const decipher = createDecipheriv(algorithm, key, nonce, { authTagLength: tagBytes });
  decipher.setAAD(Buffer.from(about)).setAuthTag(bytes.subarray(nonceBytes, nonceBytes + tagBytes));
  return Buffer.concat([decipher.update(bytes.subarray(nonceBytes + tagBytes)), decipher.final()]);
}

/** Whether a record is encrypted. */
export function isSealed(text: string): boolean {
  return text.startsWith(prefix);
}

/**
 * Encrypts records: each under a key of its own (AES-256-GCM), which is encrypted under the first of the cipher's keys and
 * stands in front of the record with that key's name. A record is bound to its place, so that it cannot pass for another.
 */
export class RecordCipher {
  readonly #first: NamedKey;
  readonly #keys: ReadonlyMap<string, Buffer>;

  /** @param keys the first writes, all read. @throws WeftError `InvalidArgument` without any. */
  constructor(keys: readonly NamedKey[]) {
    const [first] = keys;
    if (first === undefined) throw new WeftError("InvalidArgument", "a cipher needs a key");
    this.#first = first;
    this.#keys = new Map(keys.map(({ name, secret }) => [name, secret]));
  }

  /** The name of the key that writes. */
  get writes(): string {
    return this.#first.name;
  }

  /** @param place where the record stands. */
  seal(text: string, place: string): string {
    const own = randomBytes(32);
    const wrapped = encrypt(this.#first.secret, own, place);
    const sealed = encrypt(own, Buffer.from(text), place);
    return [`${prefix}${this.#first.name}`, wrapped.toString("base64"), sealed.toString("base64")].join(":");
  }

  /** The text of an encrypted record. @throws WeftError `FailedPrecondition` without its key, or with another of that name. */
  open(record: string, place: string): string {
    const [name = "", wrapped = "", sealed = ""] = record.slice(prefix.length).split(":");
    const key = this.#keys.get(name);
    if (key === undefined) throw missing(name);
    try {
      const own = decrypt(key, Buffer.from(wrapped, "base64"), place);
      return decrypt(own, Buffer.from(sealed, "base64"), place).toString();
    } catch (error) {
      const problem = `it is encrypted, and the key "${name}" does not open it: the key is another one, or the record was changed`;
      throw new WeftError("FailedPrecondition", problem, error);
    }
  }

  /** Whether a record is encrypted with the key that writes. */
  isCurrent(record: string): boolean {
    return record.startsWith(`${prefix}${this.#first.name}:`);
  }
}

function missing(name: string): WeftError {
  return new WeftError("FailedPrecondition", `it is encrypted with the key "${name}", which is not there`);
}

/** The refusal of an encrypted record by who has no keys at all. */
export function sealedWithoutKeys(record: string): WeftError {
  return missing(record.slice(prefix.length).split(":")[0] ?? "");
}

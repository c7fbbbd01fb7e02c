import { messageOf, WeftError } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { isSealed, sealedWithoutKeys, type RecordCipher } from "./cipher.ts";
import type { Row } from "./sqlite-protocol.ts";

/** Resources whose records are encrypted. */
const sealedResources: ReadonlySet<string> = new Set(["secrets"]);

/** Records that are encrypted anew at a time. */
const batchSize = 64;

/** What a record is bound to: the object and the write of it. */
function writePlace(row: Row): string {
  return `${objectPlace(row)}\0${row.revision}`;
}

/** The object alone, for a store that knows the revision of a write only when it is done. */
export function objectPlace({ partition, resource, namespace, name }: Row): string {
  return [partition, resource, namespace, name].join("\0");
}

/** Encrypts and decrypts rows on their way to and from a database, and remembers which ones to encrypt anew. */
export class Sealing {
  readonly #cipher: RecordCipher | undefined;
  readonly #placeOf: (row: Row) => string;
  /** Rows, in plain text, that stand in the database unencrypted or under an older key; gathered until they are renewed. */
  #stale: Row[] = [];
  #gathers = true;

  /** @param placeOf what a row's text is bound to; its object and its revision unless told. */
  constructor(cipher: RecordCipher | undefined, placeOf = writePlace) {
    this.#cipher = cipher;
    this.#placeOf = placeOf;
  }

  /** A row as it goes into the database. */
  seal(row: Row): Row {
    if (this.#cipher === undefined || row.text === null || !sealedResources.has(row.resource)) return row;
    return { ...row, text: this.#cipher.seal(row.text, this.#placeOf(row)) };
  }

  /** A row as it was before. @throws WeftError `FailedPrecondition` when its key is missing or wrong. */
  open(row: Row): Row {
    const { text } = row;
    if (text === null) return row;
    const opened = isSealed(text) ? { ...row, text: this.#opened(row, text) } : row;
    const current = this.#cipher === undefined || !sealedResources.has(row.resource) || this.#cipher.isCurrent(text);
    if (!current && this.#gathers) this.#stale.push(opened);
    return opened;
  }

  /** Encrypts anew what stands under older keys or in plain text, while everything else goes on. */
  async renew(write: (rows: readonly Row[]) => Promise<void>, logger: Logger): Promise<void> {
    const stale = this.#stale;
    this.#stale = [];
    this.#gathers = false;
    if (this.#cipher === undefined || stale.length === 0) return;
    try {
      for (let at = 0; at < stale.length; at += batchSize) {
        await write(stale.slice(at, at + batchSize).map((row) => this.seal(row)));
      }
      const key = this.#cipher.writes;
      logger.info("all secrets are encrypted with the first key; others can go", { key, encrypted: stale.length });
    } catch (error) {
      logger.error("secrets could not be encrypted anew; tried again at the next start", { error: messageOf(error) });
    }
  }

  #opened(row: Row, text: string): string {
    try {
      if (this.#cipher === undefined) throw sealedWithoutKeys(text);
      return this.#cipher.open(text, this.#placeOf(row));
    } catch (error) {
      const name = row.namespace === "" ? row.name : `${row.namespace}/${row.name}`;
      const problem = `${row.resource} "${name}" of ${row.partition} cannot be read`;
      const help = "nothing was changed; start with the key it was written with (--encryption-keys)";
      throw new WeftError("FailedPrecondition", `${problem}: ${messageOf(error)}: ${help}`);
    }
  }
}

import type { ObjectKey } from "../port.ts";
import { formatSegment } from "./address.ts";

/** Keys from one on, up to but without another. */
export interface KeyRange {
  readonly key: Buffer;
  readonly rangeEnd: Buffer;
}

const escapes: Readonly<Record<string, string>> = { "%": "%25", "/": "%2F" };

/** A part of a key; names of objects have neither character, partitions have slashes. */
function escape(part: string): string {
  return part.replaceAll(/[%/]/g, (character) => escapes[character] ?? character);
}

function under(folder: string): KeyRange {
  // The next character after the slash ends what begins with the folder.
  return { key: Buffer.from(`${folder}/`), rangeEnd: Buffer.from(`${folder}0`) };
}

/**
 * Where a store keeps what in etcd, all of it under its own prefix:
 *
 * - `PREFIX/weft.v1/compaction` how far the past was forgotten, and when;
 * - `PREFIX/weft.v1/head` written with every change, so that its revision is the store's; holds the id of the write;
 * - `PREFIX/weft.v1/objects/PARTITION/RESOURCE/NAMESPACE/NAME` an object as JSON, or encrypted;
 * - `PREFIX/weft.v1/pruning` when records were last pruned;
 * - `PREFIX/weft.v1/records/PARTITION/RESOURCE/NAMESPACE/NAME/...` records of its writes.
 */
export class KeySpace {
  readonly #root: string;
  readonly head: Buffer;
  readonly compaction: Buffer;
  readonly pruning: Buffer;
  readonly objects: KeyRange;
  readonly allRecords: KeyRange;
  /** The head and all objects: what a store follows. */
  readonly followed: KeyRange;

  /** @param prefix as `parseEtcdAddress` gives it. */
  constructor(prefix: string) {
    this.#root = `${prefix}/${formatSegment}`;
    this.head = Buffer.from(`${this.#root}/head`);
    this.compaction = Buffer.from(`${this.#root}/compaction`);
    this.pruning = Buffer.from(`${this.#root}/pruning`);
    this.objects = under(`${this.#root}/objects`);
    this.allRecords = under(`${this.#root}/records`);
    this.followed = { key: this.head, rangeEnd: this.objects.rangeEnd };
  }

  object(key: ObjectKey): Buffer {
    return Buffer.from(`${this.#root}/objects/${placeOf(key)}`);
  }

  /** The object that a key of `objects` is of; undefined for one that this store did not write. */
  objectOf(bytes: Uint8Array): ObjectKey | undefined {
    const parts = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
      .toString()
      .slice(this.objects.key.length)
      .split("/");
    if (parts.length !== 4) return undefined;
    const [partition = "", resource = "", namespace = "", name = ""] = parts.map((part) =>
      part.replaceAll("%2F", "/").replaceAll("%25", "%"),
    );
    return Object.freeze({ partition, resource, namespace, name });
  }

  /** The records of one object. */
  records(key: ObjectKey): KeyRange {
    return under(`${this.#root}/records/${placeOf(key)}`);
  }
}

function placeOf({ partition, resource, namespace, name }: ObjectKey): string {
  return [partition, resource, namespace, name].map(escape).join("/");
}

import type { ResourceObject } from "#api/meta.ts";
import { messageOf, WeftError } from "#base/errors.ts";
import type { KeyValue } from "#proto/gen/mvccpb/kv_pb.js";
import { describe } from "../expectation.ts";
import { deepFreeze } from "../frozen.ts";
import type { ObjectKey, Stored } from "../port.ts";
import type { Sealing } from "../sealing.ts";
import { atRevision } from "./own-writes.ts";

/** Bytes as the text that they are. */
export function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString();
}

/**
 * An object as etcd keeps it.
 * @throws WeftError `FailedPrecondition` for one that cannot be read: it is encrypted with another key, or damaged.
 */
export function decode(key: ObjectKey, { value, modRevision }: KeyValue, sealing: Sealing): Stored {
  const revision = Number(modRevision);
  const { text } = sealing.open({ ...key, revision, text: textOf(value), time: 0 });
  try {
    const object = deepFreeze(JSON.parse(text ?? "") as ResourceObject);
    return Object.freeze({ key, object: atRevision(object, revision), revision });
  } catch (error) {
    throw new WeftError("FailedPrecondition", `etcd has ${describe(key)} of ${key.partition}, but ${messageOf(error)}`);
  }
}

import { WeftError } from "#base/errors.ts";
import type { Expectation, ObjectKey, Stored } from "./port.ts";

/** The largest object, as text, in bytes: change by change one could grow beyond what anybody can send or read. */
const largestObject = 3 * 1024 * 1024;

/** An object's key in messages. */
export function describe(key: ObjectKey): string {
  const name = key.namespace === "" ? key.name : `${key.namespace}/${key.name}`;
  return `${key.resource} "${name}"`;
}

/** The error for what is not there. */
export function notFound(key: ObjectKey): WeftError {
  return new WeftError("NotFound", `${describe(key)} does not exist`);
}

/** @throws WeftError `ResourceExhausted` for an object that no store takes. */
export function checkSize(key: ObjectKey, text: string): void {
  if (Buffer.byteLength(text) <= largestObject) return;
  throw new WeftError("ResourceExhausted", `${describe(key)} would be larger than ${largestObject} bytes`);
}

/** @throws WeftError `AlreadyExists`, `NotFound` or `Conflict` unless what is stored is what a write expects. */
export function checkExpectation(key: ObjectKey, before: Stored | undefined, expect: Expectation): void {
  switch (expect.kind) {
    case "any":
      return;
    case "absent":
      if (before !== undefined) throw new WeftError("AlreadyExists", `${describe(key)} already exists`);
      return;
    case "revision":
      if (before === undefined) throw notFound(key);
      if (before.revision !== expect.revision) {
        throw new WeftError("Conflict", `${describe(key)} is at revision ${before.revision}, not ${expect.revision}`);
      }
  }
}

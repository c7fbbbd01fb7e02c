import { WeftError } from "#base/errors.ts";
import { placeOf } from "./history.ts";
import type { ObjectKey, Selection } from "./port.ts";

/** Where a list goes on. */
export interface PageToken {
  readonly revision: number;
  /** The place of the last object that was given. */
  readonly after: string;
}

function scopeOf(selection: Selection): string {
  return [selection.partition, selection.resource, selection.namespace ?? "*"].join(" ");
}

/** The `next` of a page that ended with `last`. */
export function writePageToken(selection: Selection, revision: number, last: ObjectKey): string {
  return Buffer.from(JSON.stringify([1, scopeOf(selection), revision, placeOf(last)])).toString("base64url");
}

/** Reads a page's `next`. @throws WeftError `InvalidArgument` when it was not made for this selection. */
export function parsePageToken(text: string, selection: Selection): PageToken {
  try {
    const token: unknown = JSON.parse(Buffer.from(text, "base64url").toString());
    if (Array.isArray(token)) {
      const [version, scope, revision, after] = token as unknown[];
      const ours = version === 1 && scope === scopeOf(selection);
      if (ours && Number.isSafeInteger(revision) && typeof after === "string") {
        return { revision: revision as number, after };
      }
    }
  } catch {
    // Not ours either.
  }
  throw new WeftError("InvalidArgument", "the continue token is not one of this list");
}

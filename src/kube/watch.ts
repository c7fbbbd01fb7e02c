import { StringDecoder } from "node:string_decoder";
import type { ResourceObject } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";
import { bookmarkOf, watchedObject } from "./answers.ts";
import { statusError } from "./failure.ts";
import type { StatusBody } from "./failure.ts";

/** A change as the API's watch tells it. A bookmark only says how far the watch is. */
export type WatchEvent<T extends ResourceObject = ResourceObject> =
  | { readonly kind: "put"; readonly object: T }
  | { readonly kind: "delete"; readonly object: T }
  | { readonly kind: "bookmark"; readonly resourceVersion: string };

/** Characters that one line of a watch may have. */
const maxLine = 16 * 1024 * 1024;

/** Complete lines of a byte stream. A last line without its end was cut off and is not given. */
async function* lines(chunks: AsyncIterable<Buffer>): AsyncGenerator<string> {
  const decoder = new StringDecoder("utf8");
  let rest = "";
  for await (const chunk of chunks) {
    const parts = (rest + decoder.write(chunk)).split("\n");
    rest = parts.pop() ?? "";
    if (rest.length > maxLine) throw new WeftError("ResourceExhausted", "a watch event is too large");
    for (const part of parts) if (part.trim() !== "") yield part;
  }
}

function parseLine(line: string): { readonly type?: unknown; readonly object?: unknown } {
  let parsed: unknown;
  try {
    parsed = JSON.parse(line);
  } catch (error) {
    throw new WeftError("Unavailable", "the watch sent a line that is not JSON", error);
  }
  if (typeof parsed === "object" && parsed !== null) return parsed;
  throw new WeftError("Unavailable", "the watch sent a line that is no event");
}

function statusBody(value: unknown): StatusBody {
  return typeof value === "object" && value !== null ? value : {};
}

/**
 * Reads Kubernetes' watch protocol: one JSON object a line, `{type, object}`.
 * @throws WeftError for an ERROR event: `Gone` when the asked revision is no longer known.
 */
export async function* watchEvents<T extends ResourceObject>(
  chunks: AsyncIterable<Buffer>,
): AsyncGenerator<WatchEvent<T>> {
  for await (const line of lines(chunks)) {
    const { type, object } = parseLine(line);
    if (type === "ERROR") throw statusError(statusBody(object), 500);
    if (type === "BOOKMARK") yield { kind: "bookmark", resourceVersion: bookmarkOf(object) };
    else if (type === "DELETED") yield { kind: "delete", object: watchedObject(object) as T };
    else if (type === "ADDED" || type === "MODIFIED") yield { kind: "put", object: watchedObject(object) as T };
    else throw new WeftError("Unavailable", "the watch sent an event of a type that is not known");
  }
}

import type { ResourceObject } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";

/** One page of a list, as far as a client reads it. */
export interface Page<T> {
  readonly items: readonly T[];
  readonly resourceVersion: string;
  /** Where the next page begins; undefined on the last one. */
  readonly next: string | undefined;
}

function isRecord(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function isText(value: unknown): value is string {
  return typeof value === "string" && value !== "";
}

/** Whether something can be kept as an object: it has a name, a UID and a version, and metadata of the right shape. */
function isObject(value: unknown): value is ResourceObject {
  if (!isRecord(value) || !isRecord(value["metadata"])) return false;
  const { name, uid, resourceVersion, namespace, labels, annotations } = value["metadata"];
  const maps = [labels, annotations].every((map) => map === undefined || map === null || isRecord(map));
  return [name, uid, resourceVersion].every(isText) && (namespace === undefined || isText(namespace)) && maps;
}

/**
 * A page of a list that what answers has made whole. Something else on the way, or a server in trouble, may answer 200 with anything;
 * taken for a list it would say that there is nothing.
 * @throws WeftError `Unavailable`.
 */
export function pageOf<T extends ResourceObject>(answer: unknown, what: string): Page<T> {
  const fault = (why: string): WeftError => new WeftError("Unavailable", `the answer to ${what} is no list: ${why}`);
  if (!isRecord(answer) || !isRecord(answer["metadata"])) throw fault("it has no metadata");
  const { resourceVersion, continue: next } = answer["metadata"];
  if (!isText(resourceVersion)) throw fault("it has no metadata.resourceVersion");
  if (next !== undefined && typeof next !== "string") throw fault("its metadata.continue is not text");
  const items = answer["items"] ?? [];
  if (!Array.isArray(items)) throw fault("its items are no list");
  if (!items.every(isObject)) throw fault("an item has no name, uid or resourceVersion");
  return { items: items as unknown as readonly T[], resourceVersion, next: next === "" ? undefined : next };
}

/**
 * An object of a watch.
 * @throws WeftError `Unavailable`.
 */
export function watchedObject(value: unknown): ResourceObject {
  if (isObject(value)) return value;
  throw new WeftError("Unavailable", "the watch sent an object without name, uid or resourceVersion");
}

/**
 * How far a bookmark says that a watch is.
 * @throws WeftError `Unavailable`.
 */
export function bookmarkOf(value: unknown): string {
  const version = isRecord(value) && isRecord(value["metadata"]) ? value["metadata"]["resourceVersion"] : undefined;
  if (isText(version)) return version;
  throw new WeftError("Unavailable", "the watch sent a bookmark without a resourceVersion");
}

import type { FieldSet, ManagedFieldsEntry } from "#api/meta.ts";
import type { FieldError } from "#api/kind.ts";
import { canonical } from "#base/canonical.ts";
import { isObject, type JsonObject } from "#api/json.ts";
import { isEmpty, leaf, nodeOf, union } from "./field-set.ts";
import { normalElement } from "./path-element.ts";

/** More managers by updates than these are put together. Kubernetes' own choice. */
const mostUpdaters = 10;

/** Under this name the oldest updates are put together. Kubernetes' own. */
const ancient = "ancient-changes";

/** The longest names that Kubernetes takes. */
const longest = { manager: 128, subresource: 256 } as const;

/** What most names are, seen quickly. */
const plain = /^[ -~]*$/;

/** A character that cannot be printed; a space can. */
const unprintable = /\p{C}|(?! )\p{Z}/u;

/** Who manages fields, and how, but not which. */
export type ManagerId = Pick<ManagedFieldsEntry, "manager" | "operation" | "apiVersion" | "subresource">;

/** Whether two entries are of one manager: what was applied is, whatever version of the API it was written in. */
export function sameManager(a: ManagerId, b: ManagerId): boolean {
  return (
    a.manager === b.manager &&
    a.operation === b.operation &&
    (a.subresource ?? "") === (b.subresource ?? "") &&
    (a.operation === "Apply" || a.apiVersion === b.apiVersion)
  );
}

/** An entry as objects have it, its members in Kubernetes' order. */
export function entryOf(id: ManagerId, fields: FieldSet, time: string | undefined): ManagedFieldsEntry {
  const { manager, operation, apiVersion, subresource = "" } = id;
  return {
    manager,
    operation,
    apiVersion,
    ...(time === undefined ? {} : { time }),
    fieldsType: "FieldsV1",
    fieldsV1: fields,
    ...(subresource === "" ? {} : { subresource }),
  };
}

function seconds({ time = "" }: ManagedFieldsEntry): number {
  const ms = Date.parse(time);
  return Number.isNaN(ms) ? 0 : Math.floor(ms / 1000);
}

function compareTexts(a: string, b: string): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

function order(a: ManagedFieldsEntry, b: ManagedFieldsEntry): number {
  return (
    compareTexts(a.operation, b.operation) ||
    seconds(a) - seconds(b) ||
    compareTexts(a.manager, b.manager) ||
    compareTexts(a.apiVersion, b.apiVersion) ||
    compareTexts(a.subresource ?? "", b.subresource ?? "")
  );
}

/** Entries in Kubernetes' order: what was applied first, and the older first. */
export function inOrder(entries: readonly ManagedFieldsEntry[]): readonly ManagedFieldsEntry[] {
  return entries.toSorted(order);
}

/** Entries of which no more than some are of updates: the oldest are put together, those of each version of the API. */
export function capped(entries: readonly ManagedFieldsEntry[]): readonly ManagedFieldsEntry[] {
  let excess = entries.filter(({ operation }) => operation === "Update").length - mostUpdaters;
  if (excess <= 0) return entries;
  const left: ManagedFieldsEntry[] = [];
  const together = new Map<string, number>();
  for (const entry of inOrder(entries)) {
    const at = together.get(entry.apiVersion);
    if (excess <= 0 || entry.operation !== "Update") left.push(entry);
    else if (at === undefined) {
      together.set(entry.apiVersion, left.length);
      left.push(entry);
    } else {
      const first = left[at] ?? entry;
      const id = { manager: ancient, operation: "Update", apiVersion: entry.apiVersion } as const;
      left[at] = entryOf(id, union(first.fieldsV1, entry.fieldsV1), entry.time);
      excess -= 1;
    }
  }
  return left;
}

/** A set of fields that a client wrote; undefined where it is none. */
function parseFields(value: unknown): FieldSet | undefined {
  if (!isObject(value)) return undefined;
  const out: Record<string, FieldSet> = {};
  for (const [element, inside] of Object.entries(value)) {
    if (element === ".") continue;
    const normal = normalElement(element);
    const below = parseFields(inside);
    if (normal === undefined || below === undefined || !isObject(inside)) return undefined;
    out[normal] = nodeOf("." in inside || isEmpty(below), below) ?? leaf;
  }
  return out;
}

function parseEntry(value: unknown): ManagedFieldsEntry | undefined {
  if (!isObject(value)) return undefined;
  const { manager = "", operation, apiVersion, time, fieldsType, fieldsV1 = {}, subresource = "" } = value;
  if (operation !== "Apply" && operation !== "Update") return undefined;
  const texts = [manager, apiVersion, subresource].every((text) => typeof text === "string");
  if (!texts || apiVersion === "" || fieldsType !== "FieldsV1") return undefined;
  const timed = typeof time === "string" && !Number.isNaN(Date.parse(time));
  if (!timed && time !== undefined && time !== null) return undefined;
  const fields = parseFields(fieldsV1);
  if (fields === undefined) return undefined;
  const id = { manager, operation, apiVersion, subresource } as ManagerId;
  return entryOf(id, fields, timed ? time : undefined);
}

/** What a write says of managed fields. */
export type SubmittedManagers =
  /** Nothing that means something: what is stored goes on. */
  | { readonly kind: "stored" }
  /** Nobody is to manage anything. */
  | { readonly kind: "reset" }
  | { readonly kind: "given"; readonly entries: readonly ManagedFieldsEntry[] };

/** Whether the fields of an object are to be forgotten: by an empty list, or one with an empty entry. */
function isReset(entries: readonly unknown[]): boolean {
  const [first] = entries;
  return entries.length === 0 || (entries.length === 1 && isObject(first) && Object.keys(first).length === 0);
}

/**
 * Reads the managed fields of a submitted object. What cannot be read counts as absent, as in Kubernetes, so that clients that
 * know nothing of managed fields take them from nobody.
 * @param stored the entries of the stored object; given back unchanged they need no reading.
 */
export function readManagers(
  { managedFields }: JsonObject,
  stored: readonly ManagedFieldsEntry[] | undefined,
): SubmittedManagers {
  if (managedFields === stored || !Array.isArray(managedFields)) return { kind: "stored" };
  if (isReset(managedFields)) return { kind: "reset" };
  const entries = new Map<string, ManagedFieldsEntry>();
  for (const value of managedFields) {
    const entry = parseEntry(value);
    if (entry === undefined) return { kind: "stored" };
    const { manager, operation, apiVersion, subresource = "" } = entry;
    // Of two entries of one manager the last one counts.
    entries.set(canonical([manager, operation, operation === "Apply" ? "" : apiVersion, subresource]), entry);
  }
  return { kind: "given", entries: [...entries.values()] };
}

/** What is wrong with the names in entries that a client wrote. */
export function* validateManagers(entries: readonly ManagedFieldsEntry[]): Generator<FieldError> {
  for (const [index, entry] of entries.entries()) {
    for (const name of ["manager", "subresource"] as const) {
      const problem = nameProblem(entry[name] ?? "", longest[name]);
      const field = `metadata.managedFields[${index}].${name}`;
      if (problem !== undefined) yield { field, reason: "FieldValueInvalid", message: `Invalid value: ${problem}` };
    }
  }
}

function nameProblem(name: string, limit: number): string | undefined {
  if (Buffer.byteLength(name) > limit) return `may not be more than ${limit} bytes`;
  return !plain.test(name) && unprintable.test(name) ? "should only contain printable characters" : undefined;
}

/** Why a text cannot be a manager's name; undefined where it can. */
export function managerProblem(name: string): string | undefined {
  return nameProblem(name, longest.manager);
}

/** The manager that a client is which does not say: what it calls itself, without its version. */
export function managerOfAgent(agent: string): string {
  const [name = ""] = agent.split("/");
  const printable = plain.test(name) ? name : name.replaceAll(new RegExp(unprintable, "gu"), "");
  return printable.slice(0, longest.manager) || "unknown";
}

import { WeftError } from "#base/errors.ts";
import { isObject, type JsonObject } from "../json.ts";

/** Members of a strategic merge patch that steer it. Kubernetes' names. */
const patchMember = "$patch";
const retainKeysMember = "$retainKeys";
const deleteFromListPrefix = "$deleteFromPrimitiveList/";
const elementOrderPrefix = "$setElementOrder/";

/** What a strategic merge patch says of one object. */
export interface Directives {
  /** `merge` unless the patch says otherwise. */
  readonly action: "merge" | "replace" | "delete";
  /** The only fields that may stay, if told. */
  readonly retained: ReadonlySet<string> | undefined;
  /** By field: values to take out of a list of plain values. */
  readonly removed: ReadonlyMap<string, readonly unknown[]>;
  /** By field: the order of a list's items, as plain values or as objects with the merge key. */
  readonly orders: ReadonlyMap<string, readonly unknown[]>;
  /** The patch's own fields. */
  readonly fields: ReadonlyMap<string, unknown>;
}

function malformed(problem: string): WeftError {
  return new WeftError("InvalidArgument", `the strategic merge patch is malformed: ${problem}`);
}

function listOf(name: string, value: unknown): readonly unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  throw malformed(`${name} is not a list`);
}

function parseAction(value: unknown): Directives["action"] {
  if (value === undefined) return "merge";
  if (value === "merge" || value === "replace" || value === "delete") return value;
  throw malformed(`${patchMember} is ${JSON.stringify(value)}, not "merge", "replace" or "delete"`);
}

function parseRetained(value: unknown, fields: ReadonlyMap<string, unknown>): Directives["retained"] {
  if (value === undefined) return undefined;
  const retained = new Set(listOf(retainKeysMember, value).map(String));
  for (const [name, member] of fields) {
    if (member === null || retained.has(name)) continue;
    throw malformed(`${retainKeysMember} does not list the field ${name}, which the patch sets`);
  }
  return retained;
}

/** Takes a patch of one object apart. @throws WeftError `InvalidArgument`. */
export function parseDirectives(patch: JsonObject): Directives {
  const fields = new Map<string, unknown>();
  const removed = new Map<string, readonly unknown[]>();
  const orders = new Map<string, readonly unknown[]>();
  for (const [name, value] of Object.entries(patch)) {
    if (name === patchMember || name === retainKeysMember) continue;
    if (name.startsWith(deleteFromListPrefix)) {
      removed.set(name.slice(deleteFromListPrefix.length), listOf(name, value));
    } else if (name.startsWith(elementOrderPrefix)) {
      orders.set(name.slice(elementOrderPrefix.length), listOf(name, value));
    } else fields.set(name, value);
  }
  const action = parseAction(patch[patchMember]);
  return { action, retained: parseRetained(patch[retainKeysMember], fields), removed, orders, fields };
}

/** A value that the patch adds as it is: without directives and without members that are null. */
export function plain(value: unknown): unknown {
  if (Array.isArray(value)) return value.filter((item) => !isDeletion(item)).map(plain);
  if (!isObject(value)) return value;
  const members = [...parseDirectives(value).fields].filter(([, member]) => member !== null);
  return Object.fromEntries(members.map(([name, member]) => [name, plain(member)]));
}

/** Whether an item of a list in a patch says that its counterpart goes. */
export function isDeletion(item: unknown): boolean {
  return isObject(item) && item[patchMember] === "delete";
}

/** Whether an item of a list in a patch is nothing but the mark that the patch's list replaces the whole list. */
export function isReplacement(item: unknown): boolean {
  return isObject(item) && item[patchMember] === "replace" && Object.keys(item).length === 1;
}

import { equal } from "#base/canonical.ts";
import { isObject } from "#api/json.ts";
import { maxBodyBytes } from "../body.ts";
import { ApiError } from "../status.ts";
import { setMember } from "./member.ts";

/** As many operations as Kubernetes takes in one patch. */
const maxOperations = 10_000;

/** How much JSON the copies of one patch may make in all, in characters: a copy of the whole doubles it each time. */
const maxCopied = maxBodyBytes;

type Container = Record<string, unknown> | unknown[];

function malformed(problem: string): ApiError {
  return new ApiError("BadRequest", `the JSON patch is malformed: ${problem}`);
}

function failed(problem: string): ApiError {
  return new ApiError("Invalid", `the JSON patch cannot be applied: ${problem}`);
}

/** The steps of a JSON pointer (RFC 6901). */
function parsePointer(pointer: unknown): readonly string[] {
  if (typeof pointer !== "string" || (pointer !== "" && !pointer.startsWith("/"))) {
    throw malformed(`${JSON.stringify(pointer)} is no JSON pointer`);
  }
  return pointer
    .split("/")
    .slice(1)
    .map((step) => step.replaceAll("~1", "/").replaceAll("~0", "~"));
}

/** A document that operations change in place; a patch works on its own copy. */
class Document {
  root: unknown;
  #copied = 0;

  constructor(root: unknown) {
    this.root = root;
  }

  get(steps: readonly string[]): unknown {
    return steps.reduce((value, step) => this.#member(value, step, steps), this.root);
  }

  add(steps: readonly string[], value: unknown): void {
    const last = steps.at(-1);
    if (last === undefined) {
      this.root = value;
      return;
    }
    const parent = this.#parent(steps);
    if (!Array.isArray(parent)) setMember(parent, last, value);
    else parent.splice(last === "-" ? parent.length : this.#index(parent, last, steps, parent.length), 0, value);
  }

  remove(steps: readonly string[]): void {
    const last = steps.at(-1);
    if (last === undefined) throw failed("the whole object cannot be removed");
    const parent = this.#parent(steps);
    this.#member(parent, last, steps);
    if (Array.isArray(parent)) parent.splice(Number(last), 1);
    else Reflect.deleteProperty(parent, last);
  }

  copy(from: readonly string[], to: readonly string[]): void {
    const text = JSON.stringify(this.get(from));
    this.#copied += text.length;
    if (this.#copied > maxCopied) {
      throw new ApiError("RequestEntityTooLarge", `the JSON patch copies more than ${maxCopied} characters`);
    }
    this.add(to, JSON.parse(text));
  }

  replace(steps: readonly string[], value: unknown): void {
    const last = steps.at(-1);
    if (last === undefined) {
      this.root = value;
      return;
    }
    const parent = this.#parent(steps);
    this.#member(parent, last, steps);
    if (Array.isArray(parent)) parent[Number(last)] = value;
    else setMember(parent, last, value);
  }

  #parent(steps: readonly string[]): Container {
    const parent = this.get(steps.slice(0, -1));
    if (Array.isArray(parent)) return parent as unknown[];
    if (isObject(parent)) return parent;
    throw this.#missing(steps);
  }

  #member(value: unknown, step: string, steps: readonly string[]): unknown {
    if (Array.isArray(value)) return value[this.#index(value, step, steps, value.length - 1)] as unknown;
    if (isObject(value) && Object.hasOwn(value, step)) return value[step];
    throw this.#missing(steps);
  }

  #index(list: readonly unknown[], step: string, steps: readonly string[], last: number): number {
    const index = Number(step);
    if (/^(?:0|[1-9]\d*)$/.test(step) && index <= last) return index;
    throw this.#missing(steps, ` (the list has ${list.length} items)`);
  }

  #missing(steps: readonly string[], detail = ""): ApiError {
    return failed(`there is nothing at "/${steps.join("/")}"${detail}`);
  }
}

function valueOf(operation: Readonly<Record<string, unknown>>): unknown {
  if (!Object.hasOwn(operation, "value")) throw malformed(`"${String(operation["op"])}" needs a value`);
  return structuredClone(operation["value"]);
}

function move(document: Document, from: readonly string[], to: readonly string[]): void {
  if (from.length < to.length && from.every((step, at) => step === to[at])) {
    throw failed(`"/${from.join("/")}" cannot be moved into itself`);
  }
  const value = document.get(from);
  document.remove(from);
  document.add(to, value);
}

function perform(document: Document, operation: unknown): void {
  if (!isObject(operation)) throw malformed("an operation is not an object");
  const path = parsePointer(operation["path"]);
  switch (operation["op"]) {
    case "add":
      return document.add(path, valueOf(operation));
    case "remove":
      return document.remove(path);
    case "replace":
      return document.replace(path, valueOf(operation));
    case "move":
      return move(document, parsePointer(operation["from"]), path);
    case "copy":
      return document.copy(parsePointer(operation["from"]), path);
    case "test":
      if (equal(document.get(path), valueOf(operation))) return undefined;
      throw failed(`testing value "${String(operation["path"])}" failed`);
    default:
      throw malformed(`there is no operation ${JSON.stringify(operation["op"])}`);
  }
}

/**
 * Applies a JSON patch (RFC 6902) to a copy of a document.
 * @throws ApiError `BadRequest` when it is malformed, `Invalid` when it does not fit the document.
 */
export function applyJsonPatch(target: unknown, patch: unknown): unknown {
  if (!Array.isArray(patch)) throw malformed("it is not a list of operations");
  if (patch.length > maxOperations) {
    throw new ApiError(
      "RequestEntityTooLarge",
      `the JSON patch has ${patch.length} operations: the limit is ${maxOperations}`,
    );
  }
  const document = new Document(structuredClone(target));
  for (const operation of patch as unknown[]) perform(document, operation);
  return document.root;
}

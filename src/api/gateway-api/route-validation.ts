import { isIP } from "node:net";
import type { FieldError } from "../kind.ts";
import { duplicate, type FieldPath, invalid, required } from "../field.ts";
import type { ParentReference } from "./names.ts";

/** Checks what a route is attached to: a parent that is named twice needs the name of a section each time. */
export function* validateParents(
  parents: readonly ParentReference[] | undefined,
  path: FieldPath,
): Generator<FieldError> {
  const seen = new Map<string, Set<string>>();
  for (const [index, { group, kind, name, namespace = "", sectionName = "" }] of (parents ?? []).entries()) {
    const at = path.item(index).field("sectionName");
    const key = [group, kind, namespace, name].join("/");
    const sections = seen.get(key) ?? new Set();
    if (sections.has(sectionName)) yield duplicate(at, sectionName);
    else if (sections.size > 0 && (sectionName === "" || sections.has(""))) {
      yield required(at, "where a parent is named twice");
    }
    seen.set(key, sections.add(sectionName));
  }
}

/** A backend as far as it is checked. */
export interface Backend {
  readonly group: string;
  readonly kind: string;
  readonly port?: number;
}

/** A Service is reached through one of its ports. */
export function* validateBackend({ group, kind, port }: Backend, path: FieldPath): Generator<FieldError> {
  if (group === "" && kind === "Service" && port === undefined) yield required(path.field("port"), "for a Service");
}

/** Checks the backends of a rule. */
export function* validateBackends(backends: readonly Backend[] | undefined, path: FieldPath): Generator<FieldError> {
  for (const [index, backend] of (backends ?? []).entries()) yield* validateBackend(backend, path.item(index));
}

/** Names of servers that clients can ask for in TLS: no IP addresses. */
export function* validateServerNames(hostnames: readonly string[], path: FieldPath): Generator<FieldError> {
  for (const [index, name] of hostnames.entries()) {
    if (isIP(name) !== 0) yield invalid(path.item(index), name, "must not be an IP address");
  }
}

/** Items of a list that must differ in a name. */
export function* validateDistinct(
  items: readonly { readonly name: string }[] | undefined,
  path: FieldPath,
): Generator<FieldError> {
  const seen = new Set<string>();
  for (const [index, { name }] of (items ?? []).entries()) {
    if (seen.has(name)) yield duplicate(path.item(index).field("name"), name);
    seen.add(name);
  }
}

/** Texts of a list that must differ. */
export function* validateSet(items: readonly string[] | undefined, path: FieldPath): Generator<FieldError> {
  const seen = new Set<string>();
  for (const [index, item] of (items ?? []).entries()) {
    if (seen.has(item)) yield duplicate(path.item(index), item);
    seen.add(item);
  }
}

/** Rules and their matches in all; each rule may have 64. */
export function* validateMatchCount(
  rules: readonly { readonly matches?: readonly unknown[] }[],
  path: FieldPath,
): Generator<FieldError> {
  const total = rules.reduce((sum, { matches = [] }) => sum + matches.length, 0);
  if (total > 128) yield invalid(path, total, "must have 128 matches or fewer in all");
}

import type { FieldError } from "../kind.ts";
import { duplicate, type FieldPath, forbidden, invalid, notSupported, required } from "../field.ts";
import {
  type CORS,
  type Filter,
  filterMembers,
  type HeaderFilter,
  type PathModifier,
  type RequestMirror,
  type RequestRedirect,
} from "./filters.ts";
import { validateBackend, validateDistinct, validateSet } from "./route-validation.ts";

type Errors = Generator<FieldError>;

function* validateHeaders(filter: HeaderFilter | undefined, path: FieldPath): Errors {
  yield* validateDistinct(filter?.set, path.field("set"));
  yield* validateDistinct(filter?.add, path.field("add"));
  yield* validateSet(filter?.remove, path.field("remove"));
}

function* validateMirror({ backendRef, fraction }: RequestMirror, path: FieldPath): Errors {
  yield* validateBackend(backendRef, path.field("backendRef"));
  if (fraction !== undefined && fraction.numerator > fraction.denominator) {
    yield invalid(path.field("fraction", "numerator"), fraction.numerator, "must not be more than the denominator");
  }
}

function* validatePath(modifier: PathModifier | undefined, path: FieldPath): Errors {
  if (modifier === undefined) return;
  for (const [type, name] of [
    ["ReplaceFullPath", "replaceFullPath"],
    ["ReplacePrefixMatch", "replacePrefixMatch"],
  ] as const) {
    if (modifier.type === type && modifier[name] === undefined) yield required(path.field(name));
    if (modifier.type !== type && modifier[name] !== undefined)
      yield forbidden(path.field(name), `only with the type ${type}`);
  }
}

function* validateRedirect({ statusCode, path: modifier }: RequestRedirect, path: FieldPath): Errors {
  const codes = ["301", "302", "303", "307", "308"];
  if (!codes.includes(String(statusCode))) yield notSupported(path.field("statusCode"), statusCode, codes);
  yield* validatePath(modifier, path.field("path"));
}

function* validateCors(cors: CORS, path: FieldPath): Errors {
  for (const name of ["allowOrigins", "allowMethods", "allowHeaders", "exposeHeaders"] as const) {
    const items: readonly string[] = cors[name] ?? [];
    yield* validateSet(items, path.field(name));
    if (name !== "exposeHeaders" && items.includes("*") && items.length > 1) {
      yield invalid(path.field(name), items, "must have no other entry where * is one");
    }
  }
}

/** A filter has the member that its type names, and no other. */
function* validateMembers(filter: Filter, path: FieldPath): Errors {
  for (const [type, member] of Object.entries(filterMembers)) {
    const set = member in filter;
    if (filter.type === type && !set) yield required(path.field(member), `for the type ${type}`);
    if (filter.type !== type && set) yield forbidden(path.field(member), `only with the type ${type}`);
  }
}

function* validateFilter(filter: Filter, path: FieldPath): Errors {
  yield* validateMembers(filter, path);
  yield* validateHeaders(filter.requestHeaderModifier, path.field("requestHeaderModifier"));
  yield* validateHeaders(filter.responseHeaderModifier, path.field("responseHeaderModifier"));
  if (filter.requestMirror) yield* validateMirror(filter.requestMirror, path.field("requestMirror"));
  if (filter.requestRedirect) yield* validateRedirect(filter.requestRedirect, path.field("requestRedirect"));
  yield* validatePath(filter.urlRewrite?.path, path.field("urlRewrite", "path"));
  if (filter.cors) yield* validateCors(filter.cors, path.field("cors"));
}

/** Types of filters of which a list may have more than one. */
const repeatable = new Set(["RequestMirror", "ExtensionRef"]);

/** Checks the filters of a rule or of a backend as the CRDs do. */
export function* validateFilters(filters: readonly Filter[] | undefined, path: FieldPath): Errors {
  const seen = new Set<string>();
  for (const [index, filter] of (filters ?? []).entries()) {
    const at = path.item(index);
    yield* validateFilter(filter, at);
    if (seen.has(filter.type) && !repeatable.has(filter.type)) yield duplicate(at.field("type"), filter.type);
    seen.add(filter.type);
  }
  if (seen.has("RequestRedirect") && seen.has("URLRewrite")) {
    yield forbidden(path, "RequestRedirect and URLRewrite cannot be used together");
  }
}

/** Whether a filter replaces the prefix that a rule's match is for. */
export function replacesPrefix({ requestRedirect, urlRewrite }: Filter): boolean {
  return [requestRedirect?.path, urlRewrite?.path].some((path) => path?.replacePrefixMatch !== undefined);
}

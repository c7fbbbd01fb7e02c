import type { HeaderOperations, Headers } from "#api/istio/http-route.ts";
import { create } from "@bufbuild/protobuf";
import type { StringMap } from "#api/meta.ts";
import {
  type HeaderValueOption,
  HeaderValueOption_HeaderAppendAction as AppendAction,
  HeaderValueOptionSchema,
} from "#proto/gen/envoy/config/core/v3/base_pb.js";

/** What Envoy's routes and weighted clusters take for headers, in the names of their fields. */
export interface HeaderChanges {
  readonly requestHeadersToAdd: HeaderValueOption[];
  readonly requestHeadersToRemove: string[];
  readonly responseHeadersToAdd: HeaderValueOption[];
  readonly responseHeadersToRemove: string[];
}

const isHost = (name: string): boolean => /^(?:host|:authority)$/i.test(name);

/** Envoy refuses a configuration that touches these in header operations; the host has a field of its own. */
const isSpecial = (name: string): boolean => name.startsWith(":") || isHost(name);

function options(values: StringMap | undefined, appendAction: AppendAction): HeaderValueOption[] {
  return Object.entries(values ?? {})
    .filter(([key]) => !isSpecial(key))
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]) => create(HeaderValueOptionSchema, { header: { key, value }, appendAction }));
}

function toAdd(operations: HeaderOperations | undefined): HeaderValueOption[] {
  return [
    ...options(operations?.set, AppendAction.OVERWRITE_IF_EXISTS_OR_ADD),
    ...options(operations?.add, AppendAction.APPEND_IF_EXISTS_OR_ADD),
  ];
}

function toRemove(operations: HeaderOperations | undefined): string[] {
  return (operations?.remove ?? []).filter((name) => !isSpecial(name));
}

/** Istio's header operations, less those on the host: set overwrites, add appends, remove removes. */
export function headerChanges(headers: Headers | undefined): HeaderChanges {
  return {
    requestHeadersToAdd: toAdd(headers?.request),
    requestHeadersToRemove: toRemove(headers?.request),
    responseHeadersToAdd: toAdd(headers?.response),
    responseHeadersToRemove: toRemove(headers?.response),
  };
}

/** Both changes, the second after the first. */
export function joinHeaderChanges(first: HeaderChanges, second: HeaderChanges): HeaderChanges {
  return {
    requestHeadersToAdd: [...first.requestHeadersToAdd, ...second.requestHeadersToAdd],
    requestHeadersToRemove: [...first.requestHeadersToRemove, ...second.requestHeadersToRemove],
    responseHeadersToAdd: [...first.responseHeadersToAdd, ...second.responseHeadersToAdd],
    responseHeadersToRemove: [...first.responseHeadersToRemove, ...second.responseHeadersToRemove],
  };
}

function hostAmong(values: StringMap | undefined): string | undefined {
  return Object.entries(values ?? {}).find(([key, value]) => isHost(key) && value !== "")?.[1];
}

/** The host that `set` or, failing that, `add` of request headers gives under `Host` or `:authority`. */
export function hostOf(headers: Headers | undefined): string | undefined {
  return hostAmong(headers?.request?.set) ?? hostAmong(headers?.request?.add);
}

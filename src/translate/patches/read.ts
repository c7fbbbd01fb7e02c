import type { JsonValue, Registry } from "@bufbuild/protobuf";
import type { ConfigPatch } from "#api/istio/envoy-filter.ts";
import type { Problem } from "#model/findings/finding.ts";
import { ListenerSchema } from "#proto/gen/envoy/config/listener/v3/listener_pb.js";
import { isSharedMetadata } from "../proxy-class.ts";
import { type ApplyTo, isMerge, type Match, type Patch, patchedSchemas, type WrittenPatch } from "./patch.ts";
import { brokenRules } from "./rules.ts";
import { readValue } from "./value.ts";

/** A patch of an object, or what is wrong with it; a patch may also be good and still have something to be told of. */
export interface ReadPatch {
  readonly patch?: Patch;
  readonly problems: readonly Problem[];
}

const filters = ["ADD", "MERGE", "REMOVE", "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST", "REPLACE"];
const wholes = ["ADD", "MERGE", "MERGE_AND_REPLACE_LIST", "REMOVE"];

/** Operations that do something to each kind of thing, as in Istio. */
const operations: Readonly<Record<ApplyTo, readonly string[]>> = {
  LISTENER: wholes,
  LISTENER_FILTER: filters,
  FILTER_CHAIN: wholes,
  NETWORK_FILTER: filters,
  HTTP_FILTER: filters,
  ROUTE_CONFIGURATION: ["MERGE", "MERGE_AND_REPLACE_LIST"],
  VIRTUAL_HOST: [...wholes, "REPLACE"],
  HTTP_ROUTE: [...wholes, "INSERT_BEFORE", "INSERT_AFTER", "INSERT_FIRST"],
  CLUSTER: wholes,
  EXTENSION_CONFIG: ["ADD"],
  BOOTSTRAP: ["MERGE"],
};

/** Kinds of which a place in a list can be asked for; elsewhere Istio takes an insertion for ADD. */
const placed: ReadonlySet<string> = new Set(["LISTENER_FILTER", "NETWORK_FILTER", "HTTP_FILTER", "HTTP_ROUTE"]);

function operationOf(applyTo: string, operation: string): string {
  return operation.startsWith("INSERT_") && !placed.has(applyTo) ? "ADD" : operation;
}

function problem(code: string, field: string, message: string): Problem {
  return { code, severity: "warning", field, message };
}

function isKnown(applyTo: string): applyTo is ApplyTo {
  return Object.hasOwn(patchedSchemas, applyTo);
}

/** Whether a patch that replaces or removes a filter says which. */
function namesFilter(applyTo: ApplyTo, { listener }: Match): boolean {
  const filter = listener?.filterChain?.filter;
  if (applyTo === "LISTENER_FILTER") return (listener?.listenerFilter ?? "") !== "";
  if (applyTo === "NETWORK_FILTER") return filter !== undefined;
  return applyTo !== "HTTP_FILTER" || filter?.subFilter !== undefined;
}

const filterFields: Readonly<Record<string, string>> = {
  LISTENER_FILTER: "match.listener.listenerFilter",
  NETWORK_FILTER: "match.listener.filterChain.filter",
  HTTP_FILTER: "match.listener.filterChain.filter.subFilter",
};

/** Why a patch has no effect whatever its value is. */
function* vain({ applyTo = "INVALID", match = {}, patch = {} }: ConfigPatch, at: string): Generator<Problem> {
  const operation = operationOf(applyTo, patch.operation ?? "");
  if (match.context === "WAYPOINT") {
    yield problem("NotImplemented", `${at}.match.context`, "There are no waypoints yet; the patch has no effect.");
  } else if (!isKnown(applyTo)) {
    yield problem("NoEffect", `${at}.applyTo`, `Nothing is called ${applyTo}; the patch has no effect.`);
  } else if (!operations[applyTo].includes(operation)) {
    const message = `${operation} does nothing to ${applyTo}, as in Istio. Use ${operations[applyTo].join(", ")}.`;
    yield problem("NoEffect", `${at}.patch.operation`, message);
  } else if ((operation === "REPLACE" || operation === "REMOVE") && !namesFilter(applyTo, match)) {
    const field = filterFields[applyTo] ?? "match";
    yield problem("NoEffect", `${at}.${field}`, `${operation} does nothing unless this names the filter, as in Istio.`);
  }
}

/** What an effective patch says in vain. */
function* ignored({ match, patch = {} }: ConfigPatch, at: string): Generator<Problem> {
  const own = Object.keys(match?.proxy?.metadata ?? {}).filter((name) => !isSharedMetadata(name));
  for (const name of own) {
    const message = `${name} is another for each proxy, and single proxies cannot be patched: the patch is for none. Match labels.`;
    yield problem("NotImplemented", `${at}.match.proxy.metadata`, message);
  }
  if ((patch.filterClass ?? "UNSPECIFIED") !== "UNSPECIFIED") {
    const message =
      "Filters are not ordered by class, as in Istio's current release. Use INSERT_BEFORE or INSERT_AFTER.";
    yield problem("NoEffect", `${at}.patch.filterClass`, message);
  }
}

/** Listeners need a name to be asked for, which the schema leaves open. */
function nameless({ $typeName: type, name }: { readonly $typeName: string; readonly name?: string }) {
  return type === ListenerSchema.typeName && name === "" ? [{ path: ".name", problem: "must not be empty" }] : [];
}

/**
 * Reads one patch of an EnvoyFilter.
 * @param at its place in the object: `spec.configPatches[0]`.
 */
export function readPatch(config: WrittenPatch, at: string, registry: Registry): ReadPatch {
  const reasons = [...vain(config, at)];
  const { applyTo = "INVALID", match = {}, patch = {}, phase } = config;
  if (reasons.length > 0 || !isKnown(applyTo)) return { problems: reasons };
  const remarks = [...ignored(config, at)];
  const operation = operationOf(applyTo, patch.operation ?? "") as Patch["operation"];
  if (operation === "REMOVE") return { patch: { applyTo, match, operation }, problems: remarks };
  const read = readValue(patchedSchemas[applyTo], (patch.value ?? {}) as JsonValue, registry);
  if (read.kind === "fault") {
    const message = `Envoy does not take this as a ${patchedSchemas[applyTo].name}; the patch is left out: ${read.problem}.`;
    return {
      problems: [
        { code: "InvalidPatch", severity: "error", field: `${at}.patch.value${read.path}`, message },
        ...remarks,
      ],
    };
  }
  const unknown = read.unknown.map((path) => {
    const message =
      "Envoy knows no field of this name; it is left out of the patch. Check its spelling and Envoy's version.";
    return problem("UnknownField", `${at}.patch.value${path}`, message);
  });
  const { message: value } = read;
  const extent = isMerge(operation) ? "part" : "whole";
  const found = brokenRules(patchedSchemas[applyTo], value, extent, registry);
  const broken = [...found, ...(extent === "whole" ? nameless(value) : [])].map(({ path, problem: why }): Problem => {
    const message = `Envoy would refuse what the patch makes, so it is left out: this ${why}.`;
    return { code: "InvalidPatch", severity: "error", field: `${at}.patch.value${path}`, message };
  });
  const problems = [...unknown, ...broken, ...remarks];
  if (broken.length > 0) return { problems };
  return { patch: { applyTo, match, operation, value, ...(phase && { phase }) }, problems };
}

import { FieldPath, forbidden, invalid, required, warning } from "../field.ts";
import { expressionProblem } from "../re2.ts";
import type { ConfigPatch, EnvoyFilter } from "./envoy-filter.ts";
import { type Errors, validatePort, validateSelector } from "./names.ts";
import { validateOneTarget, validateTargetNamespace } from "./policy-validation.ts";
import { selectorWarnings, type Warnings } from "./warnings.ts";

/** What a patch may match, beside the context and the proxy; one of them. */
export const matchedObjects = ["listener", "routeConfiguration", "cluster", "waypoint"] as const;

/** What may be matched where each kind of thing is patched; anything where it is not listed. */
const matchOf: Readonly<Record<string, (typeof matchedObjects)[number] | undefined>> = {
  LISTENER: "listener",
  FILTER_CHAIN: "listener",
  NETWORK_FILTER: "listener",
  HTTP_FILTER: "listener",
  ROUTE_CONFIGURATION: "routeConfiguration",
  VIRTUAL_HOST: "routeConfiguration",
  HTTP_ROUTE: "routeConfiguration",
  CLUSTER: "cluster",
};

/** Names of the network filter that has filters of its own. */
const connectionManagers = ["envoy.filters.network.http_connection_manager", "envoy.http_connection_manager"];

/** Longer expressions of proxy versions are passed over by Istio, not refused. */
const versionLimit = 1024;

type Match = NonNullable<ConfigPatch["match"]>;

function* validateContext({ context, waypoint }: Match, path: FieldPath): Errors {
  if (waypoint !== undefined && context !== "WAYPOINT") {
    yield forbidden(path.field("waypoint"), "only with the context WAYPOINT");
  }
  if (waypoint === undefined && context === "WAYPOINT") yield required(path.field("waypoint"));
  const port = waypoint?.portNumber;
  if (port !== undefined) yield* validatePort(port, path.field("waypoint", "portNumber"));
}

function* validateFilter({ listener }: Match, applyTo: string, path: FieldPath): Errors {
  const filter = listener?.filterChain?.filter;
  if (filter === undefined) return;
  const at = path.field("listener", "filterChain", "filter");
  if (!filter.name) yield required(at.field("name"));
  else if (filter.subFilter !== undefined) {
    const sub = at.field("subFilter");
    if (applyTo !== "HTTP_FILTER") yield forbidden(sub, "only with applyTo HTTP_FILTER");
    else if (!connectionManagers.includes(filter.name)) {
      yield invalid(at.field("name"), filter.name, `must be ${connectionManagers[0]} where subFilter is set`);
    } else if (!filter.subFilter.name) yield required(sub.field("name"));
  }
}

function* validateMatch(match: Match, applyTo: string, path: FieldPath): Errors {
  const version = match.proxy?.proxyVersion ?? "";
  const problem = version === "" || version.length > versionLimit ? undefined : expressionProblem(version);
  if (problem !== undefined) yield invalid(path.field("proxy", "proxyVersion"), version, problem);
  const wanted = matchOf[applyTo];
  const given = matchedObjects.find((name) => match[name] !== undefined);
  if (wanted !== undefined && given !== undefined && given !== wanted) {
    yield forbidden(path.field(given), `${applyTo} can only be matched by ${wanted}`);
  } else if (wanted === "listener") yield* validateFilter(match, applyTo, path);
}

function* validatePatch({ applyTo = "INVALID", match, patch }: ConfigPatch, path: FieldPath): Errors {
  if (match !== undefined) yield* validateContext(match, path.field("match"));
  // What a waypoint's patch lacks Istio leaves open.
  if (match?.context === "WAYPOINT") return;
  const { operation = "INVALID", value } = patch ?? {};
  if (applyTo === "INVALID") yield required(path.field("applyTo"));
  else if (patch === undefined) yield required(path.field("patch"));
  else if (operation === "INVALID") yield required(path.field("patch", "operation"));
  else if (operation !== "REMOVE" && value === undefined) {
    yield required(path.field("patch", "value"), `${operation} needs one`);
  } else if (match !== undefined) yield* validateMatch(match, applyTo, path.field("match"));
}

/**
 * Checks an EnvoyFilter as Istio's CRD and webhook do, but for the patches' values: whether they fit Envoy's own schema
 * is told when they are applied.
 */
export function* validateEnvoyFilter({ spec }: EnvoyFilter): Errors {
  const path = FieldPath.root.field("spec");
  yield* validateOneTarget(spec, ["workloadSelector", "targetRefs"], path);
  yield* validateSelector(spec.workloadSelector?.labels, path.field("workloadSelector", "labels"));
  for (const [index, target] of (spec.targetRefs ?? []).entries()) {
    yield* validateTargetNamespace(target, path.field("targetRefs").item(index));
  }
  for (const [index, patch] of (spec.configPatches ?? []).entries()) {
    yield* validatePatch(patch, path.field("configPatches").item(index));
  }
}

/** What Istio warns of in an EnvoyFilter. */
export function* envoyFilterWarnings({ spec }: EnvoyFilter): Warnings {
  const path = FieldPath.root.field("spec");
  if (spec.workloadSelector) yield* selectorWarnings(spec.workloadSelector.labels, path.field("workloadSelector"));
  for (const [index, { applyTo, match }] of (spec.configPatches ?? []).entries()) {
    const at = path.field("configPatches").item(index).field("match");
    if ((match?.proxy?.proxyVersion ?? "").length > versionLimit) {
      yield warning(at.field("proxy", "proxyVersion"), `has more than ${versionLimit} characters and is ignored`);
    }
    const whole = applyTo === "LISTENER" || applyTo === "FILTER_CHAIN";
    if (whole && match?.listener?.filterChain?.filter !== undefined) {
      yield warning(at.field("listener", "filterChain", "filter"), `does nothing for ${applyTo}`);
    }
  }
}

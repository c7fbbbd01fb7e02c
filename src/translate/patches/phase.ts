import { type Any, anyUnpack } from "@bufbuild/protobuf/wkt";
import type { FilterChain } from "#proto/gen/envoy/config/listener/v3/listener_components_pb.js";
import { RBACSchema as HttpRbacSchema } from "#proto/gen/envoy/extensions/filters/http/rbac/v3/rbac_pb.js";
import { RBACSchema as NetworkRbacSchema } from "#proto/gen/envoy/extensions/filters/network/rbac/v3/rbac_pb.js";
import { jwtFilterName } from "../authentication/names.ts";
import { externalPrefix } from "../authorization/external.ts";
import { httpAuthorizerName, httpRbacName, networkAuthorizerName, networkRbacName } from "../authorization/names.ts";
import type { Named } from "./filters.ts";

/** When an extension's filter is passed, in this order; what names no phase comes last. */
export type Phase = "AUTHN" | "AUTHZ" | "STATS" | "UNSPECIFIED";

/** What filters of policies do, in the order in which requests and connections pass them. */
const steps = ["ask an authorizer", "check tokens", "decide"] as const;
type Step = (typeof steps)[number];

/** The last step before filters of a phase, as in Istio: what CUSTOM policies ask about is asked before all of them. */
const stepsBefore: Readonly<Record<Phase, Step>> = {
  AUTHN: "ask an authorizer",
  AUTHZ: "check tokens",
  STATS: "decide",
  UNSPECIFIED: "decide",
};

/** Whether rules are those of CUSTOM policies, by their names. */
function isAsking({ configType }: Named): boolean {
  if (configType.case !== "typedConfig") return false;
  const config = configType.value as Any;
  const rbac = anyUnpack(config, HttpRbacSchema) ?? anyUnpack(config, NetworkRbacSchema);
  return [rbac?.rules, rbac?.shadowRules].some((rules) =>
    Object.keys(rules?.policies ?? {}).some((name) => name.startsWith(externalPrefix)),
  );
}

/** What a filter of policies does; undefined for other filters. */
function stepOf(filter: Named): Step | undefined {
  switch (filter.name) {
    case httpAuthorizerName:
    case networkAuthorizerName:
      return "ask an authorizer";
    case jwtFilterName:
      return "check tokens";
    case httpRbacName:
    case networkRbacName:
      return isAsking(filter) ? "ask an authorizer" : "decide";
    default:
      return undefined;
  }
}

/** Where filters of a phase begin in a chain of filters. */
export function placeOf(phase: Phase, filters: readonly Named[]): number {
  const done = new Set(steps.slice(0, steps.indexOf(stepsBefore[phase]) + 1));
  const last = filters.findLastIndex((filter) => {
    const step = stepOf(filter);
    return step !== undefined && done.has(step);
  });
  return last + 1;
}

/** Chains of listeners of sidecars for connections to no service in particular, which pass no extension that filters bytes. */
const aside: ReadonlySet<string> = new Set([
  "PassthroughFilterChain",
  "virtualOutbound-blackhole",
  "virtualOutbound-catchall-tcp",
  "virtualInbound-blackhole",
]);

/** Whether connections of a chain pass extensions that filter bytes; HTTP/3 has none. */
export function takesExtensions(chain: Pick<FilterChain, "name">, quic: boolean): boolean {
  return !quic && !aside.has(chain.name);
}

import type { PolicyTargetReference } from "#api/istio/policy.ts";
import type { StringMap } from "#api/meta.ts";
import { ownValue } from "#api/record.ts";
import { labelsMatch } from "./labels.ts";

/** For which proxies an object is that selects workloads or names Gateways of the Gateway API. */
export interface Target {
  readonly namespace: string;
  readonly labels: StringMap;
  /** Names of the Gateways that it is for; undefined where it is for workloads by their labels. */
  readonly gateways: readonly string[] | undefined;
}

/** The label of a proxy that was made for a Gateway of the Gateway API. */
export const gatewayName = "gateway.networking.k8s.io/gateway-name";

/** The target of an object of a namespace. Only Gateways are proxies of their own; Services are a waypoint's. */
export function targetOf(
  namespace: string,
  labels: StringMap = {},
  targetRefs: readonly PolicyTargetReference[] = [],
): Target {
  const targets = targetRefs.filter(
    ({ group, kind, namespace: of = "" }) =>
      group === "gateway.networking.k8s.io" && kind === "Gateway" && (of === "" || of === namespace),
  );
  return { namespace, labels, gateways: targetRefs.length > 0 ? targets.map((target) => target.name) : undefined };
}

/** Whether an object of the proxy's namespace or of the root namespace is for the proxy. */
export function isTarget(
  { namespace, labels, gateways }: Target,
  proxy: { readonly namespace: string; readonly labels: StringMap },
): boolean {
  if (gateways === undefined) return labelsMatch(labels, proxy.labels);
  const gateway = ownValue(proxy.labels, gatewayName);
  return gateway !== undefined && gateways.includes(gateway) && namespace === proxy.namespace;
}

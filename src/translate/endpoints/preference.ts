import type { LocalityLoadBalancerSetting } from "#api/istio/traffic-policy.ts";
import { topology } from "#model/endpoint.ts";
import type { MeshSettings } from "#model/mesh.ts";
import type { Service } from "#model/service.ts";
import type { PortPolicy } from "../clusters/policy.ts";
import type { LocalityPolicy } from "./locality.ts";

/** Which endpoints come first for a Service that prefers those of the caller's zone, or of its node. */
export const preferred: Readonly<Record<NonNullable<Service["prefers"]>, LocalityLoadBalancerSetting>> = {
  zone: { failoverPriority: [topology.network, topology.region, topology.zone] },
  node: {
    failoverPriority: [topology.network, topology.region, topology.zone, topology.subzone, topology.hostname],
  },
};

/** How localities matter for a cluster; undefined where they do not. */
export function localityPolicy(
  policy: PortPolicy,
  { prefers }: Pick<Service, "prefers">,
  mesh: MeshSettings,
): LocalityPolicy | undefined {
  const own = policy.loadBalancer?.localityLbSetting;
  const setting = own ?? (prefers && preferred[prefers]) ?? mesh.localityLbSetting;
  if (setting.enabled === false) return undefined;
  // Envoy knows who is well by outlier detection, or by the endpoints of a Service that prefers some.
  return { setting, failsOver: policy.outlierDetection !== undefined || (own === undefined && prefers !== undefined) };
}

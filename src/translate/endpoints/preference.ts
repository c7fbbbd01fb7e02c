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

/** Failover is always on where Envoy learns from the endpoints who is well. */
function byLocality(setting: LocalityLoadBalancerSetting, failsOver: boolean): LocalityPolicy | undefined {
  return setting.enabled === false ? undefined : { kind: "localities", setting, failsOver };
}

/**
 * How localities matter for a cluster; undefined where they do not. What the rule says goes before what the Service prefers,
 * this before what the mesh says; within each, zones before localities.
 */
export function localityPolicy(
  policy: PortPolicy,
  { prefers }: Pick<Service, "prefers">,
  mesh: MeshSettings,
): LocalityPolicy | undefined {
  const ejects = policy.outlierDetection !== undefined;
  const { zoneAwareLbSetting: zones, localityLbSetting: own } = policy.loadBalancer ?? {};
  if (zones) return { kind: "zones", setting: zones };
  if (own) return byLocality(own, ejects);
  if (prefers) return byLocality(preferred[prefers], true);
  if (mesh.zoneAwareLbSetting) return { kind: "zones", setting: mesh.zoneAwareLbSetting };
  return byLocality(mesh.localityLbSetting, ejects);
}

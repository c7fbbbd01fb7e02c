import type { DestinationRuleSpec, Subset } from "#api/istio/destination-rule.ts";
import type { MeshSettings } from "#model/mesh.ts";
import type { PortTrafficPolicy, TrafficPolicy } from "#api/istio/traffic-policy.ts";

/** A traffic policy after ports are resolved. */
export type PortPolicy = Omit<TrafficPolicy, "portLevelSettings">;

function atPort(policy: TrafficPolicy, port: number): PortTrafficPolicy | undefined {
  return policy.portLevelSettings?.find((each) => each.port?.number === port);
}

/**
 * What a policy says for one port. Settings of the port replace the policy as a whole: what they leave out is default, not
 * inherited, retry budgets and the PROXY protocol too, as in Istio.
 */
function policyForPort(policy: TrafficPolicy | undefined, port: number): PortPolicy {
  if (!policy) return {};
  const { portLevelSettings: _, ...whole } = policy;
  const own = atPort(policy, port);
  if (!own) return whole;
  const { port: _port, ...settings } = own;
  return settings;
}

/** What a rule says for a port of a subset: the subset's own settings before those of the rule. */
export function policyFor(rule: DestinationRuleSpec | undefined, subset: string, port: number): PortPolicy {
  const policy = policyForPort(rule?.trafficPolicy, port);
  const own = subsetOf(rule, subset)?.trafficPolicy;
  if (!own) return policy;
  const merged = policyForPort(own, port);
  if (!atPort(own, port)) return { ...policy, ...merged };
  const { loadBalancer: _lb, connectionPool: _pool, outlierDetection: _outliers, tls: _tls, ...kept } = policy;
  return { ...kept, ...merged };
}

/** What a rule says for a port of a subset, before what the mesh says for all. */
export function settledPolicy(
  { defaultTrafficPolicy }: Pick<MeshSettings, "defaultTrafficPolicy">,
  rule: DestinationRuleSpec | undefined,
  subset: string,
  port: number,
): PortPolicy {
  return { ...defaultTrafficPolicy, ...policyFor(rule, subset, port) };
}

/** The subset of a name; undefined for no name. */
export function subsetOf(rule: DestinationRuleSpec | undefined, name: string): Subset | undefined {
  return name === "" ? undefined : rule?.subsets?.find((subset) => subset.name === name);
}

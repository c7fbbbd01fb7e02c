import { duplicate, type FieldPath, forbidden, invalid, required } from "../field.ts";
import type { Errors } from "./names.ts";
import type {
  ConsistentHashLB,
  LoadBalancerSettings,
  LocalityLoadBalancerSetting,
  ZoneAwareLoadBalancerSetting,
} from "./traffic-policy.ts";

/** Labels that locality means by itself. */
const topologyLabels = new Set([
  "topology.kubernetes.io/region",
  "topology.kubernetes.io/zone",
  "topology.istio.io/subzone",
]);

/** Envoy's largest table of Maglev, itself too large. */
const maglevLimit = 5_000_011;

function isPrime(number: number): boolean {
  if (number < 2) return false;
  for (let factor = 2; factor * factor <= number; factor += 1) if (number % factor === 0) return false;
  return true;
}

function* validateHash(hash: ConsistentHashLB, path: FieldPath): Errors {
  const { httpCookie, maglev, ringHash, minimumRingSize } = hash;
  if (httpCookie?.name === "") yield required(path.field("httpCookie", "name"));
  const names = new Set<string>();
  for (const [index, { name }] of (httpCookie?.attributes ?? []).entries()) {
    const at = path.field("httpCookie", "attributes").item(index).field("name");
    if (name === "") yield required(at);
    else if (names.has(name)) yield duplicate(at, name);
    names.add(name);
  }
  if (minimumRingSize && (ringHash !== undefined || maglev !== undefined)) {
    yield forbidden(path.field("minimumRingSize"), "only one of minimumRingSize, ringHash, maglev may be set");
  }
  if (maglev !== undefined) {
    const { tableSize = 0 } = maglev;
    const fine = tableSize < maglevLimit && isPrime(tableSize);
    if (!fine)
      yield invalid(path.field("maglev", "tableSize"), tableSize, `must be a prime number under ${maglevLimit}`);
  }
}

/** Whether a locality stands for all that another stands for: `a/*` and `a` for `a/b`. */
function covers(locality: string, other: string): boolean {
  const [outer, inner] = [locality, other].map((text) => text.split("/").filter((part) => part !== "*"));
  return outer?.every((part, at) => part === inner?.[at]) ?? false;
}

/** Whether a locality says again what one before it says. A wildcard may follow what is more exact. */
function repeats(before: string, locality: string): boolean {
  return covers(before, locality) || (!locality.includes("*") && covers(locality, before));
}

function localityProblem(locality: string, before: readonly string[]): string | undefined {
  const wildcards = locality.split("*").length - 1;
  if (wildcards > 1 || (wildcards === 1 && !locality.endsWith("*"))) return "may have one * only, at its end";
  if (locality.split("/", 3).includes(""))
    return "must be region, region/zone or region/zone/sub-zone, none of them empty";
  const other = before.find((one) => repeats(one, locality));
  return other === undefined ? undefined : `must not overlap with ${other}`;
}

function* validateDistribute(lb: LocalityLoadBalancerSetting, path: FieldPath): Errors {
  const sources: string[] = [];
  for (const [index, { from = "", to = {} }] of (lb.distribute ?? []).entries()) {
    const at = path.field("distribute").item(index);
    const problem = localityProblem(from, sources);
    if (problem !== undefined) yield invalid(at.field("from"), from, problem);
    sources.push(from);
    const targets: string[] = [];
    for (const [locality, weight] of Object.entries(to)) {
      const wrong = localityProblem(locality, targets);
      if (wrong !== undefined) yield invalid(at.field("to").key(locality), locality, wrong);
      if (weight < 1 || weight > 100) yield invalid(at.field("to").key(locality), weight, "must be between 1 and 100");
      targets.push(locality);
    }
    const total = Object.values(to).reduce((sum, weight) => sum + weight, 0);
    if (total !== 100) yield invalid(at.field("to"), total, "the shares must be 100 together");
  }
}

/** Where the requests of regions that fail go. */
type Failovers = NonNullable<LocalityLoadBalancerSetting["failover"]>;

function* validateFailover(failovers: Failovers | undefined, path: FieldPath): Errors {
  for (const [index, { from = "", to = "" }] of (failovers ?? []).entries()) {
    const at = path.item(index);
    if (from === to) yield invalid(at.field("to"), to, "must be another region");
    for (const [name, region] of [
      ["from", from],
      ["to", to],
    ] as const) {
      if (/[/*]/.test(region)) yield invalid(at.field(name), region, "must be a region, without zone or wildcard");
    }
  }
}

/** Checks how localities share requests, of a destination or of the mesh. */
export function* validateLocality(lb: LocalityLoadBalancerSetting, path: FieldPath): Errors {
  if (lb.distribute?.length && lb.failover?.length) {
    yield forbidden(path.field("failover"), "only one of distribute, failover may be set");
    return;
  }
  if (lb.failover?.length) {
    for (const [index, label] of (lb.failoverPriority ?? []).entries()) {
      if (topologyLabels.has(label)) yield forbidden(path.field("failoverPriority").item(index), "failover is set");
    }
  }
  yield* validateDistribute(lb, path);
  yield* validateFailover(lb.failover, path.field("failover"));
}

/** Checks how requests are kept in the caller's zone, of a destination or of the mesh. */
export function* validateZones(zones: ZoneAwareLoadBalancerSetting, path: FieldPath): Errors {
  for (const [index, label] of (zones.failoverPriority ?? []).entries()) {
    if (topologyLabels.has(label)) {
      yield forbidden(path.field("failoverPriority").item(index), "regions and zones are considered by themselves");
    }
  }
  yield* validateFailover(zones.failover, path.field("failover"));
}

/** Checks how an endpoint is chosen. */
export function* validateLoadBalancer(settings: LoadBalancerSettings | undefined, path: FieldPath): Errors {
  if (settings === undefined) return;
  const { consistentHash, localityLbSetting, zoneAwareLbSetting, warmup } = settings;
  if (consistentHash !== undefined) yield* validateHash(consistentHash, path.field("consistentHash"));
  if (localityLbSetting !== undefined && zoneAwareLbSetting !== undefined) {
    yield forbidden(path.field("zoneAwareLbSetting"), "only one of localityLbSetting, zoneAwareLbSetting may be set");
  }
  if (localityLbSetting !== undefined) yield* validateLocality(localityLbSetting, path.field("localityLbSetting"));
  if (zoneAwareLbSetting !== undefined) yield* validateZones(zoneAwareLbSetting, path.field("zoneAwareLbSetting"));
  if (warmup?.aggression === 0) yield invalid(path.field("warmup", "aggression"), 0, "must be more than 0");
}

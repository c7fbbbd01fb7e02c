import { ownValue } from "#api/record.ts";
import type { LocalityLoadBalancerSetting } from "#api/istio/traffic-policy.ts";
import type { StringMap } from "#api/meta.ts";
import type { Endpoint } from "#model/endpoint.ts";
import type { Locality } from "#model/locality.ts";

/** Where the caller stands, as far as it decides which endpoints come first. */
export interface Place {
  readonly locality: Locality;
  /** Labels of the caller that failover compares with those of endpoints. */
  readonly labels: StringMap;
}

/** From where endpoints are called, as far as it decides which of them there are. Each is absent where it does not. */
export interface Origin {
  /** The caller's cluster. */
  readonly cluster?: string;
  /** The caller's network; empty where it told none. */
  readonly network?: string;
  /** The caller's node; empty where it told none. */
  readonly node?: string;
}

/** Endpoints of one locality that are equally near. */
export interface EndpointGroup {
  readonly locality: Locality;
  /** 0 is used first; the next only as far as those before it are unhealthy. */
  readonly priority: number;
  readonly weight: number;
  readonly endpoints: readonly Endpoint[];
}

function totalWeight(endpoints: readonly Endpoint[]): number {
  return endpoints.reduce((sum, endpoint) => sum + endpoint.weight, 0);
}

/** A locality as `region/zone/subzone`, less what is empty at its end. */
function localityText({ region, zone, subzone }: Locality): string {
  return [region, zone, subzone].join("/").replace(/\/+$/, "");
}

/** Endpoints by locality, in the order of its name, all of one priority. */
export function groupByLocality(endpoints: readonly Endpoint[]): readonly EndpointGroup[] {
  const groups = Map.groupBy(endpoints, localityText);
  return [...groups]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .flatMap(([, members]) => {
      const [first] = members;
      if (!first) return [];
      const { region, zone, subzone } = first;
      return [{ locality: { region, zone, subzone }, priority: 0, weight: totalWeight(members), endpoints: members }];
    });
}

/** Whether a locality is one that a pattern such as `eu/a` or `eu/*` means; what the pattern leaves out may be anything. */
function localityMatches({ region, zone, subzone }: Locality, pattern: string): boolean {
  const wanted = pattern.split("/");
  return [region, zone, subzone].every((part, at) => ["", "*", part].includes(wanted[at] ?? ""));
}

/** Numbers priorities from 0 without gaps, which Envoy insists on. */
function withoutGaps(groups: readonly EndpointGroup[]): readonly EndpointGroup[] {
  const order = [...new Set(groups.map((group) => group.priority))].toSorted((a, b) => a - b);
  return groups.map((group) => ({ ...group, priority: order.indexOf(group.priority) }));
}

/** Steps from the caller: 0 for the same subzone, 1 zone, 2 region, 3 elsewhere. */
function distance(from: Locality, to: Locality): number {
  if (from.region !== to.region) return 3;
  if (from.zone !== to.zone) return 2;
  return from.subzone === to.subzone ? 0 : 1;
}

type Failover = NonNullable<LocalityLoadBalancerSetting["failover"]>;

/** Near endpoints before far ones; of other regions, the one that the setting names first. */
function byDistance(groups: readonly EndpointGroup[], from: Locality, failover: Failover): readonly EndpointGroup[] {
  const next = failover.find((each) => each.from === from.region)?.to;
  const moved = groups.map((group) => {
    const steps = distance(from, group.locality);
    const last = steps === 3 && next !== undefined && group.locality.region !== next;
    // Five steps within each priority that labels may have given.
    return { ...group, priority: group.priority * 5 + (last ? 4 : steps) };
  });
  return withoutGaps(moved);
}

/** The networks come first in a list when endpoints of other networks are to be used only after all of one's own. */
const networkLabel = "topology.istio.io/network";

function labelPriority(endpoint: Endpoint, labels: StringMap, wanted: readonly string[]): number {
  let otherNetwork = 0;
  for (const [at, entry] of wanted.entries()) {
    const equals = entry.indexOf("=");
    const name = equals < 0 ? entry : entry.slice(0, equals);
    const value = equals < 0 ? ownValue(labels, name) : entry.slice(equals + 1);
    if (value === ownValue(endpoint.labels, name)) continue;
    if (at > 0 || name !== networkLabel) return otherNetwork + wanted.length - at;
    otherNetwork = wanted.length;
  }
  return otherNetwork;
}

/** Endpoints before others that agree with the caller in more labels, counted from the first. */
function byLabels(
  groups: readonly EndpointGroup[],
  labels: StringMap,
  wanted: readonly string[],
): readonly EndpointGroup[] {
  const split = groups.flatMap(({ locality, endpoints }) =>
    [...Map.groupBy(endpoints, (endpoint) => labelPriority(endpoint, labels, wanted))]
      .toSorted(([a], [b]) => a - b)
      .map(([priority, members]) => ({ locality, priority, weight: totalWeight(members), endpoints: members })),
  );
  return withoutGaps(split);
}

/** Gives localities the shares that the setting has for callers of this locality; those without a share take none. */
function distributed(
  groups: readonly EndpointGroup[],
  from: Locality,
  distribute: NonNullable<LocalityLoadBalancerSetting["distribute"]>,
): readonly EndpointGroup[] {
  const shares = distribute.find((each) => localityMatches(from, each.from ?? "*"))?.to;
  if (!shares) return groups;
  const left = new Set(groups);
  const weighed: EndpointGroup[] = [];
  for (const [pattern, share] of Object.entries(shares)) {
    const matching = [...left].filter((group) => localityMatches(group.locality, pattern));
    const total = matching.reduce((sum, group) => sum + group.weight, 0);
    for (const group of matching) {
      left.delete(group);
      const weight = Math.ceil((group.weight * share) / total);
      if (weight > 0) weighed.push({ ...group, weight });
    }
  }
  return weighed.toSorted((a, b) => (localityText(a.locality) < localityText(b.locality) ? -1 : 1));
}

/** What is said about localities for a cluster. */
export interface LocalityPolicy {
  readonly setting: LocalityLoadBalancerSetting;
  /** Whether Envoy learns which endpoints are well, without which it would never leave the nearest ones. */
  readonly failsOver: boolean;
}

/** Whether the caller's place makes a difference. */
export function dependsOnPlace({ setting, failsOver }: LocalityPolicy): boolean {
  return setting.distribute !== undefined || failsOver;
}

/** Groups with the priorities and weights that they have for a caller. */
export function placed(
  groups: readonly EndpointGroup[],
  place: Place,
  policy: LocalityPolicy,
): readonly EndpointGroup[] {
  const { distribute, failover = [], failoverPriority = [] } = policy.setting;
  if (distribute) return distributed(groups, place.locality, distribute);
  if (!policy.failsOver) return groups;
  if (failoverPriority.length === 0) return byDistance(groups, place.locality, failover);
  const labelled = byLabels(groups, place.labels, failoverPriority);
  return failover.length === 0 ? labelled : byDistance(labelled, place.locality, failover);
}

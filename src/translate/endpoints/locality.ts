import { ownValue } from "#api/record.ts";
import type { LocalityLoadBalancerSetting, ZoneAwareLoadBalancerSetting } from "#api/istio/traffic-policy.ts";
import type { StringMap } from "#api/meta.ts";
import { type Endpoint, topology } from "#model/endpoint.ts";
import { type Locality, parseLocality } from "#model/locality.ts";

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
  /** The caller's cluster where others are not led to that any more: its own callers go on as they are. */
  readonly home?: string;
  /** The caller's network; empty where it told none. */
  readonly network?: string;
  /** Present beside the network where the caller's connections get through gateways to others, as mutual TLS of the mesh. */
  readonly identified?: true;
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

/** Whether a locality is one that a pattern such as `eu/a` or `eu/*` means; zones that it leaves out may be any. */
function localityMatches({ region, zone, subzone }: Locality, pattern: string): boolean {
  const wanted = parseLocality(pattern);
  return (
    ["*", region].includes(wanted.region) &&
    ["", "*", zone].includes(wanted.zone) &&
    ["", "*", subzone].includes(wanted.subzone)
  );
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

/** Gives each group its place within the priority that labels may have given, one of so many. */
function within(
  groups: readonly EndpointGroup[],
  places: number,
  placeOf: (locality: Locality) => number,
): readonly EndpointGroup[] {
  return withoutGaps(
    groups.map((group) => ({ ...group, priority: group.priority * places + placeOf(group.locality) })),
  );
}

/** The region that comes after one, where the setting names it. */
function nextRegion(failover: Failover, region: string): string | undefined {
  const named = failover.find((each) => each.from === region);
  return named && (named.to ?? "");
}

/** Near endpoints before far ones; of other regions, the one that the setting names first. */
function byDistance(groups: readonly EndpointGroup[], from: Locality, failover: Failover): readonly EndpointGroup[] {
  const next = nextRegion(failover, from.region);
  return within(groups, 5, (locality) => {
    const steps = distance(from, locality);
    return steps === 3 && next !== undefined && locality.region !== next ? 4 : steps;
  });
}

/** The caller's region, whose zones Envoy shares out, then the region that the setting names, then others. */
function byRegion(
  groups: readonly EndpointGroup[],
  { region }: Locality,
  failover: Failover,
): readonly EndpointGroup[] {
  const next = nextRegion(failover, region);
  return within(groups, 3, (locality) => {
    if (locality.region === region) return 0;
    return locality.region === next ? 1 : 2;
  });
}

/** The networks come first in a list when endpoints of other networks are to be used only after all of one's own. */
const networkLabel = topology.network;

function labelPriority(endpoint: Endpoint, labels: StringMap, wanted: readonly string[]): number {
  let otherNetwork = 0;
  for (const [at, entry] of wanted.entries()) {
    const [name = "", value = ownValue(labels, name) ?? ""] = entry.split("=");
    if (value === (ownValue(endpoint.labels, name) ?? "")) continue;
    if (at > 0 || entry !== networkLabel) return otherNetwork + wanted.length - at;
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
  const shares = distribute.find((each) => localityMatches(from, each.from ?? ""))?.to;
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
export type LocalityPolicy =
  | {
      readonly kind: "localities";
      readonly setting: LocalityLoadBalancerSetting;
      /** Whether Envoy learns which endpoints are well, without which it would never leave the nearest ones. */
      readonly failsOver: boolean;
    }
  /** Envoy itself keeps requests in the caller's zone as far as its endpoints suffice. */
  | { readonly kind: "zones"; readonly setting: ZoneAwareLoadBalancerSetting };

/** The shares that a setting gives; undefined for none. */
function sharesOf({ distribute = [] }: LocalityLoadBalancerSetting): LocalityLoadBalancerSetting["distribute"] {
  return distribute.length > 0 ? distribute : undefined;
}

/** Whether the caller's place makes a difference. */
export function dependsOnPlace(policy: LocalityPolicy): boolean {
  if (policy.kind === "zones") return policy.setting.enabled !== false;
  return sharesOf(policy.setting) !== undefined || policy.failsOver;
}

/** Whether localities have weights of their own; without, their endpoints are balanced as one set. */
export function weighsLocalities(policy: LocalityPolicy): boolean {
  if (policy.kind === "zones") return false;
  const { failover = [], failoverPriority = [] } = policy.setting;
  const ordered = failover.length > 0 || failoverPriority.length > 0;
  return sharesOf(policy.setting) !== undefined || (policy.failsOver && ordered);
}

/** Groups with the priorities and weights that they have for a caller. */
export function placed(
  groups: readonly EndpointGroup[],
  { locality, labels }: Place,
  policy: LocalityPolicy,
): readonly EndpointGroup[] {
  const { failover = [], failoverPriority = [] } = policy.setting;
  const labelled = (): readonly EndpointGroup[] =>
    failoverPriority.length === 0 ? groups : byLabels(groups, labels, failoverPriority);
  if (policy.kind === "zones") {
    return policy.setting.enabled === false ? groups : byRegion(labelled(), locality, failover);
  }
  const shares = sharesOf(policy.setting);
  if (shares) return distributed(groups, locality, shares);
  if (!policy.failsOver) return groups;
  const ordered = labelled();
  return failoverPriority.length > 0 && failover.length === 0 ? ordered : byDistance(ordered, locality, failover);
}

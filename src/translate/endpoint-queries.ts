import { ownValue } from "#api/record.ts";
import { canonical } from "#base/canonical.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Client } from "#model/client.ts";
import { type Endpoint, topology } from "#model/endpoint.ts";
import { labelsMatch } from "#model/labels.ts";
import type { Model } from "#model/model.ts";
import { only } from "#model/services.ts";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { type EncodedResource, encodeResource, sameResource } from "#proto/encoded.ts";
import { includesUnhealthy } from "./clusters/outliers.ts";
import { settledPolicy, subsetOf } from "./clusters/policy.ts";
import { isAddress, loadAssignment } from "./endpoints/assignment.ts";
import {
  dependsOnPlace,
  groupByLocality,
  type LocalityPolicy,
  type Origin,
  type Place,
  placed,
} from "./endpoints/locality.ts";
import { localityPolicy, preferred } from "./endpoints/preference.ts";
import { mutualTlsSpeakers } from "./endpoints/mutual-tls.ts";
import { acrossNetworks, isFor } from "./endpoints/reach.ts";
import { clusterName, meshServerName, parseClusterName } from "./names.ts";

/** Endpoint sets as queries, each computed once for all proxies for which it comes out the same. */
export interface EndpointSetQueries {
  /** The endpoints of a cluster that a client sees, from a place. */
  readonly endpoints: (view: EndpointView, cluster: string) => EncodedResource | undefined;
  /** Which of where a proxy runs decides what endpoints it has. */
  readonly originOf: (proxy: Required<Omit<Origin, "identified" | "home">> & Pick<Origin, "identified">) => Origin;
  /** Whether it matters to some endpoints on which node their callers are. */
  readonly nodesMatter: () => boolean;
  /** Labels of proxies by which some rule decides who fails over to whom. */
  readonly placeLabels: (labels: StringMap) => StringMap;
}

interface Leaf {
  readonly service: string;
  readonly port: number;
  readonly subset: string;
  /** Keys of the DestinationRules, joined with commas. */
  readonly rules: string;
  /** Absent where the place makes no difference. */
  readonly place?: Place;
  readonly origin: Origin;
  /** Present for the cluster to which gateways pass on TLS of the mesh, in which only endpoints are that speak it. */
  readonly passed?: true;
}

/** Who calls, and from where. */
export interface EndpointView {
  readonly client: Client;
  readonly place: Place;
  readonly origin: Origin;
}

/** Which kinds of preferences some services have: for endpoints of the caller's zone, or node, or of no other node. */
interface Preferences {
  readonly zone: boolean;
  readonly node: boolean;
  readonly nodeLocal: boolean;
}

function united(all: readonly Preferences[]): Preferences {
  return {
    zone: all.some(({ zone }) => zone),
    node: all.some(({ node }) => node),
    nodeLocal: all.some(({ nodeLocal }) => nodeLocal),
  };
}

/** A label's name in an entry such as `region` or `region=eu`. */
function labelName(entry: string): string {
  return entry.split("=")[0] ?? "";
}

/** Declares the queries about endpoint sets. */
export function endpointSetQueries(engine: Engine, model: Model): EndpointSetQueries {
  const mesh = () => model.services.mesh.get(only);

  const localityOf = ({ service, rules, subset, port }: Omit<Leaf, "origin">): LocalityPolicy | undefined => {
    const policy = settledPolicy(mesh(), model.rules.merged.get(rules)?.spec, subset, port);
    return localityPolicy(policy, model.services.service.get(service) ?? {}, mesh());
  };

  /** Whether endpoints are in clusters that a caller is led to; each cluster is looked up once. */
  const isLedTo = ({ home }: Origin): ((endpoint: Endpoint) => boolean) => {
    const known = new Map<string, boolean>([["", true]]);
    if (home !== undefined) known.set(home, true);
    return ({ cluster }) => {
      const led = known.get(cluster) ?? model.tables.drained.get(cluster) !== true;
      known.set(cluster, led);
      return led;
    };
  };

  const members = ({ service, port, subset, rules, origin }: Leaf): readonly Endpoint[] => {
    const rule = model.rules.merged.get(rules)?.spec;
    const labels = subsetOf(rule, subset)?.labels ?? {};
    // Where some endpoints are preferred it is by their health that Envoy knows when to leave them.
    const unhealthyToo =
      includesUnhealthy(settledPolicy(mesh(), rule, subset, port).outlierDetection) ||
      model.services.service.get(service)?.prefers !== undefined;
    return model.endpoints.endpoints
      .get({ service, port })
      .filter((each) => isAddress(each) && (each.healthy || unhealthyToo) && labelsMatch(labels, each.labels))
      .filter((each) => isFor(each, origin))
      .filter(isLedTo(origin));
  };

  const preferencesIn = engine.stringQuery("preferences-in", (namespace): Preferences => {
    const services = model.services.keysIn.get(namespace).flatMap((key) => model.services.service.get(key) ?? []);
    return united(
      services.map(({ prefers, nodeLocal }) => ({ zone: prefers === "zone", node: prefers === "node", nodeLocal })),
    );
  });

  const preferences = engine.stringQuery("preferences", () =>
    united(model.services.namespaces.get(only).map((namespace) => preferencesIn.get(namespace))),
  );

  const leaf = engine.query<Leaf, EncodedResource>({
    name: "endpoints",
    key: ({ service, port, subset, rules, place, origin, passed }) =>
      `${service}|${port}|${subset}|${rules}|${canonical(place)}|${canonical(origin)}${passed ? "|passed" : ""}`,
    equal: sameResource,
    compute: (asked) => {
      const { service, port, subset, rules, place, origin, passed } = asked;
      const host = model.services.service.get(service)?.host ?? "";
      const name = passed ? meshServerName(port, subset, host) : clusterName("outbound", port, subset, host);
      const speaks = mutualTlsSpeakers(model.peers, { rule: model.rules.merged.get(rules)?.spec, subset, port });
      const all = passed ? members(asked).filter(speaks) : members(asked);
      const gateways = model.networks.gateways.get(only);
      const { groups, entries } = acrossNetworks(groupByLocality(all), { origin, gateways, speaks });
      const policy = place && localityOf(asked);
      const ordered = policy ? placed(groups, place, policy) : groups;
      const told = (each: Endpoint): boolean => entries.has(each) || speaks(each);
      return encodeResource(ClusterLoadAssignmentSchema, loadAssignment(name, ordered, told), name);
    },
  });

  const failoverLabels = engine.stringQuery("failover-labels", (): readonly string[] => {
    const policies = model.tables.destinationRules.rows
      .rows()
      .flatMap(({ spec }) => [spec.trafficPolicy, ...(spec.subsets ?? []).map((subset) => subset.trafficPolicy)]);
    const settings = policies
      .flatMap((policy) => [policy, ...(policy?.portLevelSettings ?? [])])
      .flatMap((policy) => [policy?.loadBalancer?.localityLbSetting, policy?.loadBalancer?.zoneAwareLbSetting]);
    const { localityLbSetting, zoneAwareLbSetting } = mesh();
    const { zone, node } = preferences.get(only);
    const preferring = [...(zone ? [preferred.zone] : []), ...(node ? [preferred.node] : [])];
    const entries = [...settings, localityLbSetting, zoneAwareLbSetting, ...preferring].flatMap(
      (setting) => setting?.failoverPriority ?? [],
    );
    return [...new Set(entries.map(labelName))].toSorted();
  });

  /** Whether some network has gateways. */
  const crossed = engine.stringQuery(
    "networks-crossed",
    () => Object.keys(model.networks.gateways.get(only).of).length > 0,
  );

  /** What of the caller's origin decides about a service. */
  const narrowed = (service: string, host: string, { cluster, network, node, identified }: Origin): Origin => {
    const nodeLocal = model.services.service.get(service)?.nodeLocal === true;
    return {
      ...((nodeLocal || model.clusterLocal.get(host)) && cluster !== undefined && { cluster }),
      ...(nodeLocal && node !== undefined && { node }),
      ...(cluster !== undefined && model.tables.drained.get(cluster) === true && { home: cluster }),
      ...(network !== undefined && { network, ...(identified && { identified }) }),
    };
  };

  return {
    endpoints: ({ client, place, origin }, cluster) => {
      const parsed = parseClusterName(cluster);
      if (parsed?.direction !== "outbound") return undefined;
      const { port, subset, host, passed } = parsed;
      const service = model.clients.serviceForHost.get({ client, host });
      if (service === undefined) return undefined;
      const rules = model.rules.ruleKeys({ viewer: client, service }).join(",");
      if (subset !== "" && !subsetOf(model.rules.merged.get(rules)?.spec, subset)) return undefined;
      const policy = localityOf({ service, port, subset, rules });
      const near = policy !== undefined && dependsOnPlace(policy) ? { place } : {};
      const from = narrowed(service, host, origin);
      // What came across networks is not sent across networks again: two gateways would pass it to and fro.
      const { identified: _, ...within } = from;
      const known = passed ? { origin: within, passed } : { origin: from };
      return leaf.get({ service, port, subset, rules, ...near, ...known });
    },
    originOf: ({ cluster, network, node, identified }) => ({
      cluster,
      ...(crossed.get(only) && { network, ...(identified && { identified }) }),
      ...(preferences.get(only).nodeLocal && { node }),
    }),
    nodesMatter: () => preferences.get(only).nodeLocal || failoverLabels.get(only).includes(topology.hostname),
    placeLabels: (labels) => {
      const wanted = failoverLabels.get(only).flatMap((name) => {
        const value = ownValue(labels, name);
        return value === undefined ? [] : [[name, value] as const];
      });
      return Object.fromEntries(wanted);
    },
  };
}

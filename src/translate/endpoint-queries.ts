import { ownValue } from "#api/record.ts";
import { canonical } from "#base/canonical.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Client } from "#model/client.ts";
import type { Endpoint } from "#model/endpoint.ts";
import { labelsMatch } from "#model/labels.ts";
import type { Model } from "#model/model.ts";
import { only } from "#model/services.ts";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { type EncodedResource, encodeResource, sameResource } from "#proto/encoded.ts";
import { localitySetting } from "./clusters/outbound.ts";
import { includesUnhealthy } from "./clusters/outliers.ts";
import { policyFor, subsetOf } from "./clusters/policy.ts";
import { isAddress, loadAssignment } from "./endpoints/assignment.ts";
import { dependsOnPlace, groupByLocality, type LocalityPolicy, type Place, placed } from "./endpoints/locality.ts";
import { clusterName, parseClusterName } from "./names.ts";

/** Endpoint sets as queries, each computed once for all proxies for which it comes out the same. */
export interface EndpointSetQueries {
  /** The endpoints of a cluster that a client sees, from a place. */
  readonly endpoints: (client: Client, place: Place, cluster: string) => EncodedResource | undefined;
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
}

/** A label's name in an entry such as `region` or `region=eu`. */
function labelName(entry: string): string {
  return entry.split("=")[0] ?? "";
}

/** Declares the queries about endpoint sets. */
export function endpointSetQueries(engine: Engine, model: Model): EndpointSetQueries {
  const mesh = () => model.services.mesh.get(only);

  const localityPolicy = (rules: string, subset: string, port: number): LocalityPolicy | undefined => {
    const policy = policyFor(model.rules.merged.get(rules)?.spec, subset, port);
    const setting = localitySetting(policy, mesh());
    return setting && { setting, ejects: policy.outlierDetection !== undefined };
  };

  const members = ({ service, port, subset, rules }: Leaf): readonly Endpoint[] => {
    const rule = model.rules.merged.get(rules)?.spec;
    const labels = subsetOf(rule, subset)?.labels ?? {};
    const unhealthyToo = includesUnhealthy(policyFor(rule, subset, port).outlierDetection);
    return model.endpoints.endpoints
      .get({ service, port })
      .filter((each) => isAddress(each) && (each.healthy || unhealthyToo) && labelsMatch(labels, each.labels));
  };

  const leaf = engine.query<Leaf, EncodedResource>({
    name: "endpoints",
    key: ({ service, port, subset, rules, place }) => `${service}|${port}|${subset}|${rules}|${canonical(place)}`,
    equal: sameResource,
    compute: (asked) => {
      const { service, port, subset, rules, place } = asked;
      const host = model.services.service.get(service)?.host ?? "";
      const name = clusterName("outbound", port, subset, host);
      const groups = groupByLocality(members(asked));
      const policy = place && localityPolicy(rules, subset, port);
      const ordered = policy ? placed(groups, place, policy) : groups;
      return encodeResource(ClusterLoadAssignmentSchema, loadAssignment(name, ordered), name);
    },
  });

  const failoverLabels = engine.stringQuery("failover-labels", (): readonly string[] => {
    const policies = model.tables.destinationRules.rows
      .rows()
      .flatMap(({ spec }) => [spec.trafficPolicy, ...(spec.subsets ?? []).map((subset) => subset.trafficPolicy)]);
    const settings = policies
      .flatMap((policy) => [policy, ...(policy?.portLevelSettings ?? [])])
      .map((policy) => policy?.loadBalancer?.localityLbSetting);
    const entries = [...settings, mesh().localityLbSetting].flatMap((setting) => setting?.failoverPriority ?? []);
    return [...new Set(entries.map(labelName))].toSorted();
  });

  return {
    endpoints: (client, place, cluster) => {
      const parsed = parseClusterName(cluster);
      if (parsed?.direction !== "outbound") return undefined;
      const { port, subset, host } = parsed;
      const service = model.clients.serviceForHost.get({ client, host });
      if (service === undefined) return undefined;
      const rules = model.rules.ruleKeys({ viewer: client, service }).join(",");
      if (subset !== "" && !subsetOf(model.rules.merged.get(rules)?.spec, subset)) return undefined;
      const policy = localityPolicy(rules, subset, port);
      const near = policy !== undefined && dependsOnPlace(policy) ? { place } : {};
      return leaf.get({ service, port, subset, rules, ...near });
    },
    placeLabels: (labels) => {
      const wanted = failoverLabels.get(only).flatMap((name) => {
        const value = ownValue(labels, name);
        return value === undefined ? [] : [[name, value] as const];
      });
      return Object.fromEntries(wanted);
    },
  };
}

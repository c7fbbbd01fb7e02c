import { ownValue } from "#api/record.ts";
import type { StringMap } from "#api/meta.ts";
import type { Engine } from "#incremental/engine.ts";
import type { Endpoint } from "#model/endpoint.ts";
import type { Model } from "#model/model.ts";
import type { InboundKey } from "#model/workloads.ts";
import { ClusterLoadAssignmentSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import { type EncodedResource, encodeResource, sameResource } from "#proto/encoded.ts";
import { canonical } from "#base/canonical.ts";
import { isAddress, loadAssignment } from "./endpoints/assignment.ts";
import { groupByLocality } from "./endpoints/locality.ts";
import type { ProxyView } from "./view.ts";

/**
 * The cluster of a proxy's own kind, which is part of its bootstrap where its metadata says ENABLE_SELF_DISCOVERY, as Istio has
 * it. Envoy compares how that is shared out over zones with how a destination is, and sends to other zones what its own lacks.
 */
export const ownCluster = "local_cluster";

/** Labels that tell the Pods of one roll-out from those of another. */
const rolloutLabels = ["pod-template-hash", "rollouts-pod-template-hash"] as const;

/** Proxies of one kind: of one workload, roll-out and region. */
export interface OwnKind {
  /** The first service of the workload, by its key; empty where it has none. */
  readonly service: string;
  /** As its node names it. */
  readonly workload: string;
  readonly rollout: StringMap;
  readonly region: string;
}

/** What a proxy's own kind is; undefined where it does not ask for it. */
export function ownKind({ metadata, labels, locality }: ProxyView, { services }: InboundKey): OwnKind | undefined {
  if (metadata["ENABLE_SELF_DISCOVERY"] !== "true") return undefined;
  const told = rolloutLabels.flatMap((name) => {
    const value = ownValue(labels, name);
    return value === undefined ? [] : [[name, value] as const];
  });
  return {
    service: services[0] ?? "",
    workload: metadata["WORKLOAD_NAME"] ?? "",
    rollout: Object.fromEntries(told),
    region: locality.region,
  };
}

function isOfKind(endpoint: Endpoint, { workload, rollout, region }: OwnKind): boolean {
  return (
    endpoint.workload === workload &&
    endpoint.region === region &&
    rolloutLabels.every((name) => ownValue(endpoint.labels, name) === ownValue(rollout, name))
  );
}

/** Declares the query about the endpoints of proxies' own kinds. */
export function ownEndpointQuery(engine: Engine, model: Model): (kind: OwnKind) => EncodedResource {
  const own = engine.query<OwnKind, EncodedResource>({
    name: "own-endpoints",
    key: canonical,
    equal: sameResource,
    compute: (kind) => {
      const [port] = model.services.service.get(kind.service)?.ports ?? [];
      const all = port ? model.endpoints.endpoints.get({ service: kind.service, port: port.number }) : [];
      const members = all.filter((each) => isAddress(each) && each.healthy && isOfKind(each, kind));
      return encodeResource(
        ClusterLoadAssignmentSchema,
        loadAssignment(ownCluster, groupByLocality(members)),
        ownCluster,
      );
    },
  });
  return (kind) => own.get(kind);
}

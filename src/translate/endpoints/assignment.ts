import { isIP } from "node:net";
import { create, type MessageInitShape } from "@bufbuild/protobuf";
import type { Endpoint } from "#model/endpoint.ts";
import { HealthStatus } from "#proto/gen/envoy/config/core/v3/health_check_pb.js";
import {
  type ClusterLoadAssignment,
  ClusterLoadAssignmentSchema,
} from "#proto/gen/envoy/config/endpoint/v3/endpoint_pb.js";
import type { LbEndpointSchema } from "#proto/gen/envoy/config/endpoint/v3/endpoint_components_pb.js";
import { pipe, socketAddress } from "../address.ts";
import { transportMatch } from "../mesh-tls.ts";
import { istioMetadata } from "../metadata.ts";
import { fittingWeights } from "../weights.ts";
import type { EndpointGroup } from "./locality.ts";

/** The first label of those that is set. */
function firstLabel(endpoint: Endpoint, names: readonly string[]): string | undefined {
  return names.map((name) => endpoint.labels[name]).find((value) => value !== undefined);
}

/** Who serves, for telemetry, in Istio's form: `workload;namespace;service;revision;cluster`. */
function workloadText(endpoint: Endpoint): string {
  const service =
    firstLabel(endpoint, ["service.istio.io/canonical-name", "app.kubernetes.io/name", "app"]) ?? endpoint.workload;
  const revision = firstLabel(endpoint, [
    "service.istio.io/canonical-revision",
    "app.kubernetes.io/version",
    "version",
  ]);
  const told = revision === undefined || revision === "latest" ? "" : revision;
  return [endpoint.workload, endpoint.namespace, service, told, endpoint.cluster].join(";");
}

/** Whether a port says that the address is the path of a Unix socket. */
function isSocket(port: number): boolean {
  return port === 0;
}

function lbEndpoint(endpoint: Endpoint, speaks: boolean): MessageInitShape<typeof LbEndpointSchema> {
  const address = isSocket(endpoint.port) ? pipe(endpoint.address) : socketAddress(endpoint.address, endpoint.port);
  return {
    hostIdentifier: { case: "endpoint", value: { address } },
    healthStatus: endpoint.healthy ? HealthStatus.HEALTHY : HealthStatus.UNHEALTHY,
    loadBalancingWeight: endpoint.weight,
    metadata: istioMetadata(
      { workload: workloadText(endpoint) },
      speaks ? { [transportMatch.name]: transportMatch.speaks } : {},
    ),
  };
}

/**
 * The endpoints of a cluster, as EDS has them or as the cluster itself does.
 * @param speaks which are told to be ones that speak mutual TLS of the mesh.
 */
export function loadAssignment(
  clusterName: string,
  groups: readonly EndpointGroup[],
  speaks: (endpoint: Endpoint) => boolean = () => false,
): ClusterLoadAssignment {
  return create(ClusterLoadAssignmentSchema, {
    clusterName,
    endpoints: fittingWeights(groups).map(({ locality: { region, zone, subzone }, priority, weight, endpoints }) => ({
      ...(region !== "" && { locality: { region, zone, subZone: subzone } }),
      priority,
      loadBalancingWeight: weight,
      lbEndpoints: fittingWeights(endpoints).map((each) => lbEndpoint(each, speaks(each))),
    })),
  });
}

/** Whether an endpoint is one that EDS may hold: an address, or a Unix socket; host names are for DNS. */
export function isAddress({ address, port }: Endpoint): boolean {
  return isSocket(port) ? address !== "" : isIP(address) === 4;
}

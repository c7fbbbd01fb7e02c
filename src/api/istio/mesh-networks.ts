import { type FieldPath, invalid } from "../field.ts";
import { list, map, object, string, uint32, type Value } from "../schema.ts";
import {
  domainProblem,
  type Errors,
  isAddress,
  isDnsLabel,
  labelMessage,
  subnetProblem,
  validatePort,
} from "./names.ts";

const Network = object(
  "A network: workloads that reach each other directly.",
  {},
  {
    endpoints: list(
      "What is in the network.",
      object(
        "Workloads.",
        {},
        {
          fromRegistry: string("Those of a member cluster, by its name."),
          fromCidr: string("Those with addresses of a range, such as 10.0.0.0/8."),
        },
      ),
    ),
    gateways: list(
      "Where other networks reach this one.",
      object(
        "A gateway.",
        {},
        {
          address: string("Its address or its DNS name."),
          registryServiceName: string(
            "The full name of its Service in the network's clusters, in place of an address.",
          ),
          port: uint32("Its port."),
          locality: string("Where it stands; no effect, as in Istio."),
        },
      ),
    ),
  },
);

/** Istio's `MeshNetworks`, by the networks' names. */
export const MeshNetworks = map("The mesh's networks by their names, as in Istio's MeshNetworks.", Network);
export type MeshNetworks = Value<typeof MeshNetworks>;

type Network = Value<typeof Network>;

function* validateEndpoints(endpoints: NonNullable<Network["endpoints"]>, path: FieldPath): Errors {
  for (const [index, { fromCidr, fromRegistry }] of endpoints.entries()) {
    const at = path.item(index);
    if (fromCidr !== undefined && (!fromCidr.includes("/") || subnetProblem(fromCidr) !== undefined)) {
      yield invalid(at.field("fromCidr"), fromCidr, "must be a range of addresses, such as 10.0.0.0/8");
    }
    // As in Istio, capitals are allowed: a single cluster was once named Kubernetes.
    if (fromRegistry !== undefined && !isDnsLabel(fromRegistry)) {
      yield invalid(at.field("fromRegistry"), fromRegistry, labelMessage);
    }
  }
}

function* validateGateways(gateways: NonNullable<Network["gateways"]>, path: FieldPath): Errors {
  for (const [index, { address, registryServiceName, port = 0 }] of gateways.entries()) {
    const at = path.item(index);
    if (address !== undefined && !isAddress(address) && domainProblem(address) !== undefined) {
      yield invalid(at.field("address"), address, "must be an IP address or a DNS name");
    }
    if (registryServiceName !== undefined && domainProblem(registryServiceName) !== undefined) {
      yield invalid(at.field("registryServiceName"), registryServiceName, "must be the full DNS name of a Service");
    }
    yield* validatePort(port, at.field("port"));
  }
}

/** Checks the networks of a mesh, as Istio does. */
export function* validateMeshNetworks(networks: MeshNetworks, path: FieldPath): Errors {
  for (const [name, { endpoints = [], gateways = [] }] of Object.entries(networks)) {
    yield* validateEndpoints(endpoints, path.key(name).field("endpoints"));
    yield* validateGateways(gateways, path.key(name).field("gateways"));
  }
}

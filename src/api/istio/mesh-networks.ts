import { type FieldPath, invalid } from "../field.ts";
import { list, map, object, string, uint32, type Value } from "../schema.ts";
import { type Errors, subnetProblem } from "./names.ts";

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

/** Checks the networks of a mesh. */
export function* validateMeshNetworks(networks: MeshNetworks, path: FieldPath): Errors {
  for (const [name, { endpoints = [] }] of Object.entries(networks)) {
    for (const [index, { fromCidr }] of endpoints.entries()) {
      if (fromCidr === undefined || (fromCidr.includes("/") && subnetProblem(fromCidr) === undefined)) continue;
      const at = path.key(name).field("endpoints").item(index).field("fromCidr");
      yield invalid(at, fromCidr, "must be a range of addresses, such as 10.0.0.0/8");
    }
  }
}

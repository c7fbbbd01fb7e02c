import { expect, test } from "vitest";
import { FieldPath } from "../field.ts";
import { type MeshNetworks, validateMeshNetworks } from "./mesh-networks.ts";
import { labelMessage } from "./names.ts";

type Network = MeshNetworks[string];

function errorsOf(network: Network): readonly string[] {
  return [...validateMeshNetworks({ n1: network }, FieldPath.root.field("spec", "meshNetworks"))].map(
    ({ field, message }) => `${field}: ${message}`,
  );
}

const at = "spec.meshNetworks[n1]";

test("networks by clusters and ranges, with gateways by address, name and Service, are accepted", () => {
  const gateways = [
    { address: "192.0.2.1", port: 15_443 },
    { address: "gateway.example.com", port: 443 },
    { registryServiceName: "border.shop.svc.cluster.local", port: 15_443 },
  ];
  expect(errorsOf({ endpoints: [{ fromRegistry: "Kubernetes" }, { fromCidr: "10.0.0.0/8" }], gateways })).toEqual([]);
});

test.each<readonly [Network, string]>([
  [
    { endpoints: [{ fromCidr: "10.0.0.1" }] },
    `${at}.endpoints[0].fromCidr: Invalid value: "10.0.0.1": must be a range of addresses, such as 10.0.0.0/8`,
  ],
  [
    { gateways: [{ address: "n@where", port: 443 }] },
    `${at}.gateways[0].address: Invalid value: "n@where": must be an IP address or a DNS name`,
  ],
  [
    { gateways: [{ registryServiceName: "*.local", port: 443 }] },
    `${at}.gateways[0].registryServiceName: Invalid value: "*.local": must be the full DNS name of a Service`,
  ],
  [{ gateways: [{ address: "192.0.2.1" }] }, `${at}.gateways[0].port: Invalid value: 0: must be between 1 and 65535`],
  [
    { endpoints: [{ fromRegistry: "cluster.local" }] },
    `${at}.endpoints[0].fromRegistry: Invalid value: "cluster.local": ${labelMessage}`,
  ],
])("%j is refused", (network, error) => {
  expect(errorsOf(network)).toEqual([error]);
});

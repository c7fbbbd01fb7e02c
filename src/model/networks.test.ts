import { describe, expect, it } from "vitest";
import { only } from "./services.ts";
import { modelOf } from "./testing/objects.ts";

const system = (network: string) => `
cluster: west
kind: Namespace
metadata: { name: istio-system, labels: { topology.istio.io/network: ${network} } }`;

/** A Service in cluster east that says what it is the gateway of. */
function gateway(labels: string, more: string): string {
  return `
cluster: east
kind: Service
metadata: { name: cross, namespace: istio-system, labels: { ${labels} } }
spec: { type: LoadBalancer, clusterIP: 10.0.0.1, ports: [{ name: tls, port: 15443 }, { name: other, port: 443 }] }
${more}`;
}

const balancer = "status: { loadBalancer: { ingress: [{ ip: 192.0.2.1 }] } }";

describe("the network of a workload", () => {
  it("is told by its labels, its cluster's root namespace, the mesh's networks and its cluster, the first that does", () => {
    const { networks, inputs } = modelOf(system("blue"));
    inputs.setMesh({
      meshNetworks: {
        green: { endpoints: [{ fromRegistry: "east" }] },
        wide: { endpoints: [{ fromCidr: "10.0.0.0/8" }, { fromCidr: "fd00::/8" }] },
        narrow: { endpoints: [{ fromCidr: "10.9.0.0/16" }] },
      },
    });
    inputs.putCluster("north", "red");
    const labels = { "topology.istio.io/network": "own" };
    expect(networks.networkOf("west", "10.9.0.1", labels)).toBe("own");
    expect(networks.networkOf("west", "10.9.0.1", {})).toBe("blue");
    expect(networks.networkOf("east", "10.9.0.1", {})).toBe("green");
    // The widest of the ranges, as in Istio.
    expect(networks.networkOf("north", "10.9.0.1", {})).toBe("wide");
    expect(networks.networkOf("north", "fd00::1", {})).toBe("wide");
    expect(networks.networkOf("north", "192.0.2.7", {})).toBe("red");
    expect(networks.networkOf("south", "192.0.2.7", {})).toBe("");
  });
});

describe("networks with gateways", () => {
  it.each([
    ["a label, an address and the usual port", gateway("topology.istio.io/network: blue", balancer), ["blue"]],
    [
      "another port, by a label",
      gateway("topology.istio.io/network: blue, networking.istio.io/gatewayPort: '443'", balancer),
      ["blue"],
    ],
    [
      "a port that it does not have",
      gateway("topology.istio.io/network: blue, networking.istio.io/gatewayPort: '444'", balancer),
      [],
    ],
    ["no address", gateway("topology.istio.io/network: blue", ""), []],
    ["no label", gateway("", balancer), []],
  ])("by %s", (_name, objects, expected) => {
    expect(modelOf(objects).networks.gatewayed.get(only)).toEqual(expected);
  });

  it("as the mesh's networks have them: by an address, or by the Service of a cluster in the network", () => {
    const { networks, inputs } = modelOf(gateway("", balancer));
    const gateways = [{ registryServiceName: "cross.istio-system.svc.cluster.local", port: 443 }];
    inputs.setMesh({
      meshNetworks: {
        addressed: { gateways: [{ address: "192.0.2.9", port: 443 }] },
        served: { endpoints: [{ fromRegistry: "east" }], gateways },
        elsewhere: { endpoints: [{ fromRegistry: "west" }], gateways },
        none: {},
      },
    });
    expect(networks.gatewayed.get(only)).toEqual(["addressed", "served"]);
  });
});

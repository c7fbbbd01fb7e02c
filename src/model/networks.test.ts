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

describe("gateways of networks", () => {
  const cross = { network: "blue", cluster: "east", address: "192.0.2.1", port: 15_443 };

  it.each([
    ["a label, an address and the usual port", gateway("topology.istio.io/network: blue", balancer), [cross]],
    [
      "another port, by a label",
      gateway("topology.istio.io/network: blue, networking.istio.io/gatewayPort: '443'", balancer),
      [{ ...cross, port: 443 }],
    ],
    [
      "a port that it does not have",
      gateway("topology.istio.io/network: blue, networking.istio.io/gatewayPort: '444'", balancer),
      undefined,
    ],
    ["no address", gateway("topology.istio.io/network: blue", ""), undefined],
    ["no label", gateway("", balancer), undefined],
  ])("by %s", (_name, objects, expected) => {
    expect(modelOf(objects).networks.gateways.get(only).of["blue"]).toEqual(expected);
  });

  const served = {
    endpoints: [{ fromRegistry: "east" }],
    gateways: [{ registryServiceName: "cross.istio-system.svc.cluster.local", port: 443 }],
  };

  it("as the mesh's networks have them: by an address, or by the Service of a cluster in the network", () => {
    const { networks, inputs } = modelOf(gateway("", balancer));
    const addressed = {
      gateways: [
        { address: "192.0.2.9", port: 443 },
        { address: "border.test", port: 443 },
      ],
    };
    inputs.setMesh({
      meshNetworks: { addressed, served, elsewhere: { ...served, endpoints: [{ fromRegistry: "west" }] }, none: {} },
    });
    expect(networks.gateways.get(only).of).toEqual({
      addressed: [{ network: "addressed", cluster: "", address: "192.0.2.9", port: 443 }],
      served: [{ ...cross, network: "served", port: 443 }],
    });
  });

  it("of a Service that has both, as its label has it", () => {
    const { networks, inputs } = modelOf(gateway("topology.istio.io/network: blue", balancer));
    inputs.setMesh({ meshNetworks: { served } });
    expect(networks.gateways.get(only).of).toEqual({ blue: [cross] });
  });

  it("have weights that can be shared out evenly among those of a network, and of each of its clusters", () => {
    const { networks, inputs } = modelOf("");
    const addresses = (...last: readonly number[]) => last.map((each) => ({ address: `192.0.2.${each}`, port: 443 }));
    expect(networks.gateways.get(only).scale).toBe(1);
    inputs.setMesh({
      meshNetworks: { a: { gateways: addresses(1, 2, 3, 4) }, b: { gateways: addresses(5, 6, 7, 7, 8, 9, 10) } },
    });
    expect(networks.gateways.get(only).scale).toBe(12);
  });
});

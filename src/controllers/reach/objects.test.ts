import { expect, test } from "vitest";
import { reachObjects, webhookPort } from "./objects.ts";

const places = (objects: ReturnType<typeof reachObjects>): unknown[] =>
  objects.map(({ metadata: _metadata, apiVersion: _version, ...rest }) => rest);

test("addresses are led to at whatever ports, those of each family by a slice of their own", () => {
  const address = { revision: "1-1", hosts: ["10.0.0.5", "fd00::5", "10.0.0.6"], xds: 31_012, webhooks: 31_017 };
  const objects = reachObjects(address);
  expect(objects.map(({ metadata }) => metadata.name)).toEqual(["istiod-1-1", "istiod-1-1-ipv4", "istiod-1-1-ipv6"]);
  const ready = { ready: true };
  const ports = [
    { name: "https-dns", port: 31_012, protocol: "TCP" },
    { name: "https-webhook", port: 31_017, protocol: "TCP" },
  ];
  expect(places(objects)).toEqual([
    {
      kind: "Service",
      spec: {
        type: "ClusterIP",
        ports: [
          { name: "https-dns", port: 15_012, targetPort: 31_012, protocol: "TCP" },
          { name: "https-webhook", port: 443, targetPort: 31_017, protocol: "TCP" },
        ],
      },
    },
    {
      kind: "EndpointSlice",
      addressType: "IPv4",
      endpoints: ["10.0.0.5", "10.0.0.6"].map((each) => ({ addresses: [each], conditions: ready })),
      ports,
    },
    {
      kind: "EndpointSlice",
      addressType: "IPv6",
      endpoints: [{ addresses: ["fd00::5"], conditions: ready }],
      ports,
    },
  ]);
  expect(webhookPort(address)).toBe(443);
});

test("a name is led to by its name, at Istio's port of xDS alone", () => {
  const address = { revision: "default", hosts: ["mesh.example.com"], xds: 15_012, webhooks: 15_017 };
  expect(reachObjects(address)).toMatchObject([
    { metadata: { name: "istiod" }, spec: { type: "ExternalName", externalName: "mesh.example.com" } },
  ]);
  // Who asks by a name takes the port as it is.
  expect(webhookPort(address)).toBe(15_017);
  expect(() => reachObjects({ ...address, xds: 443 })).toThrow(/mesh\.example\.com, port 443: .*at 15012/);
  expect(() => reachObjects({ ...address, hosts: ["mesh.example.com", "10.0.0.5"] })).toThrow("either one name or");
});

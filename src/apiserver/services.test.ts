import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { created, createNamespace, service } from "./testing/objects.ts";
import { startTestServer, type Json, type TestServer } from "./testing/server.ts";

let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
  for (const endpoint of ["east", "west"]) await createNamespace(server, endpoint, "shop");
});
afterAll(() => server[Symbol.asyncDispose]());

const path = "/api/v1/namespaces/shop/services";

async function specOf(endpoint: string, name: string, spec: object = {}): Promise<Json> {
  return (await created(server, endpoint, path, service(name, spec))).json.spec;
}

function refused(endpoint: string, name: string, spec: object): Promise<Json> {
  return server.ask(endpoint, path, { method: "POST", body: service(name, spec) });
}

function put(endpoint: string, name: string, spec: object): ReturnType<TestServer["ask"]> {
  return server.ask(endpoint, `${path}/${name}`, { method: "PUT", body: service(name, spec) });
}

const patchType = async (type: string): Promise<Json> => {
  const body = JSON.stringify({ spec: { type, externalName: type === "ExternalName" ? "example.com" : null } });
  const headers = { "Content-Type": "application/merge-patch+json" };
  return (await server.ask("east", `${path}/patched`, { method: "PATCH", headers, body })).json.spec;
};

describe("Services", () => {
  test("get distinct addresses of their cluster's range, also when made at once", async () => {
    const specs = await Promise.all(Array.from({ length: 40 }, (_, at) => specOf("east", `s${at}`)));
    const addresses = specs.map(({ clusterIP }) => clusterIP as string);
    expect(new Set(addresses).size).toBe(40);
    for (const address of addresses) expect(address).toMatch(/^10\.110\./);
    expect(specs[0]).toMatchObject({
      type: "ClusterIP",
      clusterIPs: [addresses[0]],
      ipFamilies: ["IPv4"],
      ipFamilyPolicy: "SingleStack",
      ports: [{ port: 80, protocol: "TCP", targetPort: 80 }],
    });
    expect(specs[0].ports[0].nodePort).toBeUndefined();
  });

  test("keep their addresses when changed and over a restart", async () => {
    const { clusterIP } = await specOf("east", "kept");
    const replaced = (await put("east", "kept", { ports: [{ port: 81 }] })).json.spec;
    expect([replaced.clusterIP, replaced.ports[0].port]).toEqual([clusterIP, 81]);
    await server.restart();
    expect((await server.ask("east", `${path}/kept`)).json.spec.clusterIP).toBe(clusterIP);
    const taken = await refused("east", "thief", { clusterIP });
    expect([taken.status, taken.json.details.causes[0].message]).toEqual([
      422,
      expect.stringContaining("provided IP is already allocated"),
    ]);
  });

  test("may name their address, once and within the range", async () => {
    expect((await specOf("east", "named", { clusterIP: "10.110.0.5" })).clusterIP).toBe("10.110.0.5");
    const changed = await put("east", "named", { clusterIP: "10.110.0.6" });
    expect([changed.status, changed.json.details.causes[0].field]).toEqual([422, "spec.clusterIPs[0]"]);
    for (const clusterIP of ["10.111.0.1", "10.110.0.0", "10.110.255.255", "fe80::1", "web"]) {
      expect((await refused("east", "wrong", { clusterIP })).status).toBe(422);
    }
    expect((await refused("east", "wrong", { clusterIP: "10.110.0.7", clusterIPs: ["10.110.0.8"] })).status).toBe(422);
  });

  test("without an address keep to that", async () => {
    expect(await specOf("east", "headless", { clusterIP: "None" })).toMatchObject({ clusterIP: "None" });
    const external = { type: "ExternalName", externalName: "example.com", ports: [] };
    expect((await specOf("east", "external", external)).clusterIP).toBeUndefined();
    const opened = (await put("east", "external", { type: "ClusterIP" })).json.spec;
    expect(opened.clusterIP).toMatch(/^10\.110\./);
    expect((await put("east", "external", external)).json.spec.clusterIP).toBeUndefined();
  });

  test("whose type is patched leave behind what the new type cannot have", async () => {
    await specOf("east", "patched", { type: "LoadBalancer" });
    const local = await patchType("ClusterIP");
    expect([local.allocateLoadBalancerNodePorts, local.externalTrafficPolicy]).toEqual([undefined, undefined]);
    expect((await patchType("ExternalName")).clusterIP).toBeUndefined();
    expect((await patchType("ClusterIP")).clusterIP).toMatch(/^10\.110\./);
  });

  test("of a dry run take no address", async () => {
    const body = service("tried", { clusterIP: "10.110.9.9" });
    const dry = await server.ask("east", `${path}?dryRun=All`, { method: "POST", body });
    expect(dry.json.spec.clusterIP).toBe("10.110.9.9");
    expect((await specOf("east", "tried", { clusterIP: "10.110.9.9" })).clusterIP).toBe("10.110.9.9");
  });

  test("that are too many for the range are refused until one goes", async () => {
    // 10.120.0.0/28 has 14 addresses between the network's own and the last.
    const names = Array.from({ length: 14 }, (_, at) => `w${at}`);
    const addresses = await Promise.all(names.map(async (name) => (await specOf("west", name)).clusterIP as string));
    expect(new Set(addresses).size).toBe(14);
    const full = await refused("west", "one-more", {});
    expect([full.status, full.json.message]).toEqual([403, expect.stringContaining("every address")]);
    await server.ask("west", `${path}/w3`, { method: "DELETE" });
    expect((await specOf("west", "one-more")).clusterIP).toBe(addresses[3]);
  });
});

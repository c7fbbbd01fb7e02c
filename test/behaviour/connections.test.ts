/**
 * Where connections go that are not HTTP to the proxy, or are not HTTP at all. Names of groups are messages of Istio's
 * reference "Virtual Service".
 */
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { greeting } from "./greeting.ts";
import { countBy, inParallel } from "./many.ts";
import { strangerAddress, World } from "./world.ts";

let world: World;

const versions = (host: string): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host} }
spec:
  host: ${host}
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]`;

const pods = { v1: 1, v2: 1 };
const tcp = (port: number) => [{ name: "tcp", port, to: "tcp" }] as const;

beforeAll(async () => {
  world = await World.start("c", {
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      { name: "guest", namespace: "bank", labels: { app: "guest", tier: "test" } },
    ],
    services: [
      { name: "store", pods, ports: tcp(9001) },
      { name: "shared", pods, ports: tcp(9002) },
      { name: "backup", pods, ports: tcp(9003) },
      {
        name: "doors",
        pods,
        ports: [
          { name: "tcp-front", port: 9004, to: "tcp" },
          { name: "tcp-back", port: 9005, to: "tcp" },
        ],
      },
      { name: "subnets", pods, ports: tcp(9008) },
      { name: "mixed", pods, ports: [{ name: "any", port: 9006, to: "tcp" }] },
      { name: "secure", pods, ports: [{ name: "tls", port: 9443, to: "tls" }] },
    ],
    istio: [
      ...["store", "shared", "subnets", "doors", "mixed", "secure"].map(versions),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: store }
spec:
  hosts: [store]
  tcp:
    - match: [{ sourceLabels: { tier: test }, sourceNamespace: bank }, { gateways: [shop/edge] }]
      route: [{ destination: { host: store, subset: v2 } }]
    - route: [{ destination: { host: store, subset: v1 } }]`,
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: shared }
spec:
  hosts: [shared]
  tcp:
    - route:
        - { destination: { host: shared, subset: v1 }, weight: 75 }
        - { destination: { host: shared, subset: v2 }, weight: 25 }`,
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: subnets }
spec:
  hosts: [subnets]
  tcp:
    - match: [{ sourceSubnet: 203.0.113.0/24 }]
      route: [{ destination: { host: subnets, subset: v2 } }]
    - route: [{ destination: { host: subnets, subset: v1 } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: backup }
spec:
  hosts: [backup]
  tcp: [{ route: [{ destination: { host: store, subset: v2 } }] }]`,
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: doors }
spec:
  hosts: [doors]
  tcp:
    - { match: [{ port: 9004 }], route: [{ destination: { host: doors, subset: v1, port: { number: 9005 } } }] }
    - { match: [{ port: 9005 }], route: [{ destination: { host: doors, subset: v2, port: { number: 9004 } } }] }`,
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: mixed }
spec:
  hosts: [mixed]
  http: [{ directResponse: { status: 200, body: { string: routed } } }]
  tcp: [{ route: [{ destination: { host: mixed, subset: v2 } }] }]`,
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ranged }
spec:
  hosts: [ranged.example.com]
  addresses: [10.200.0.0/16]
  resolution: STATIC
  ports: [{ number: 9007, name: tcp, protocol: TCP, targetPort: 9000 }]
  endpoints: [{ address: "@store-v1-0" }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ranged }
spec:
  hosts: [ranged.example.com]
  tcp:
    - match: [{ destinationSubnets: [10.200.1.7/24, 10.200.2.1] }]
      route: [{ destination: { host: store, subset: v2 } }]`,
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: names }
spec:
  hosts: [one.example.com, two.example.com, "*.example.org"]
  resolution: NONE
  ports: [{ number: 9443, name: tls, protocol: TLS }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: names }
spec:
  hosts: [one.example.com, two.example.com, "*.example.org"]
  tls:
    - match: [{ sniHosts: [one.example.com] }]
      route: [{ destination: { host: secure, subset: v1 } }]
    - match: [{ sniHosts: [two.example.com, deep.example.org], sourceLabels: { tier: test } }]
      route: [{ destination: { host: secure, subset: v1 } }]
    - match: [{ sniHosts: [two.example.com] }, { sniHosts: ["*.example.org"], port: 9443 }]
      route: [{ destination: { host: secure, subset: v2 } }]`,
      `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: placed }
spec:
  hosts: [placed.example.com]
  addresses: [10.201.0.0/16]
  resolution: NONE
  ports: [{ number: 9443, name: tls, protocol: TLS }, { number: 9444, name: tls-more, protocol: TLS }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: placed }
spec:
  hosts: [placed.example.com, shared.example.com]
  tls:
    - match: [{ port: 9443, sniHosts: [placed.example.com], destinationSubnets: [10.201.1.0/24] }]
      route: [{ destination: { host: secure, subset: v1, port: { number: 9443 } } }]
    - match: [{ port: 9443, sniHosts: [placed.example.com], destinationSubnets: [10.201.2.0/24] }]
      route: [{ destination: { host: secure, subset: v2, port: { number: 9443 } } }]
    - match: [{ port: 9444, sniHosts: [placed.example.com] }]
      route: [{ destination: { host: secure, subset: v2, port: { number: 9443 } } }]
    - match: [{ sniHosts: [shared.example.com] }]
      route:
        - { destination: { host: secure, subset: v1, port: { number: 9443 } }, weight: 75 }
        - { destination: { host: secure, subset: v2, port: { number: 9443 } }, weight: 25 }`,
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

/** The Pod that a connection reaches. */
async function reached(from: string, host: string, port: number): Promise<string> {
  return greeting(await world.caller(from).connect(host, port));
}

/** The Pod that a connection reaches which asks for a server name by TLS. */
async function reachedByName(from: string, host: string, servername: string, port = 9443): Promise<string> {
  const socket = await world.caller(from).connect(host, port);
  const secure = connectTls({ socket, servername, rejectUnauthorized: false });
  return greeting(secure);
}

/** How many of 200 connections reach each Pod. */
async function shares(connect: () => Promise<string>): Promise<Readonly<Record<string, number>>> {
  return Object.fromEntries(countBy(await inParallel(200, 8, connect), (pod) => pod));
}

/** Shares of 200 with room for chance, which is outgrown once in some ten thousand times on either side. */
const threeQuarters = expect.toSatisfy((count: number) => count > 125 && count < 175);
const oneQuarter = expect.toSatisfy((count: number) => count > 25 && count < 75);

describe("TCPRoute", () => {
  test("a route without a match takes every connection", async () => {
    expect(await reached("caller", "store", 9001)).toBe("store-v1-0");
  });

  test("sourceLabels and sourceNamespace must both be the caller's, and a match for a gateway is none for sidecars", async () => {
    expect(await reached("guest", "store.shop", 9001)).toBe("store-v2-0");
  });

  test("weights share connections out", async () => {
    const counts = await shares(() => reached("caller", "shared", 9002));
    expect(counts).toEqual({ "shared-v1-0": threeQuarters, "shared-v2-0": oneQuarter });
  });

  test("sourceSubnet is not looked at", async () => {
    expect(await reached("caller", "subnets", 9008)).toBe("subnets-v2-0");
  });

  test("the destination may be another host, at its only port", async () => {
    expect(await reached("caller", "backup", 9003)).toBe("store-v2-0");
  });

  test("port is the one that was called", async () => {
    expect(await reached("caller", "doors", 9004)).toBe("doors-v1-0");
    expect(await reached("caller", "doors", 9005)).toBe("doors-v2-0");
  });

  test("destinationSubnets are the addresses that were called; others go to the service", async () => {
    expect(await reached("caller", "10.200.1.9", 9007)).toBe("store-v2-0");
    expect(await reached("caller", "10.200.2.1", 9007)).toBe("store-v2-0");
    expect(await reached("caller", "10.200.3.1", 9007)).toBe("store-v1-0");
  });

  test("on a port of unknown protocol, HTTP has the http routes and everything else the tcp routes", async () => {
    expect((await world.caller("caller").send("http://mixed:9006/")).text).toBe("routed");
    const socket = await world.caller("caller").connect("mixed", 9006);
    socket.write("\u0001\u0002");
    expect(await greeting(socket)).toContain("mixed-v2-0");
  });
});

describe("TLSRoute", () => {
  test("sniHosts", async () => {
    expect(await reachedByName("caller", strangerAddress, "one.example.com")).toBe("secure-v1-0");
    expect(await reachedByName("caller", strangerAddress, "two.example.com")).toBe("secure-v2-0");
  });

  test("sniHosts with a wildcard", async () => {
    expect(await reachedByName("caller", strangerAddress, "deep.example.org")).toBe("secure-v2-0");
  });

  test("the first match that holds for the caller", async () => {
    expect(await reachedByName("guest", strangerAddress, "two.example.com")).toBe("secure-v1-0");
    expect(await reachedByName("guest", strangerAddress, "deep.example.org")).toBe("secure-v1-0");
    expect(await reachedByName("guest", strangerAddress, "other.example.org")).toBe("secure-v2-0");
  });

  test("destinationSubnets of a server name", async () => {
    expect(await reachedByName("caller", "10.201.1.5", "placed.example.com")).toBe("secure-v1-0");
    expect(await reachedByName("caller", "10.201.2.5", "placed.example.com")).toBe("secure-v2-0");
  });

  test("port of a server name is the one that was called", async () => {
    expect(await reachedByName("caller", "10.201.1.5", "placed.example.com", 9444)).toBe("secure-v2-0");
  });

  test("weights share connections with a server name out", async () => {
    const counts = await shares(() => reachedByName("caller", "10.201.3.5", "shared.example.com"));
    expect(counts).toEqual({ "secure-v1-0": threeQuarters, "secure-v2-0": oneQuarter });
  });

  test("another name is passed on to where the caller goes", async () => {
    expect(await reachedByName("caller", strangerAddress, "three.example.com")).toBe("stranger");
  });

  test("a service without rules is reached by its address, whatever the name", async () => {
    expect(await reachedByName("caller", "secure", "any.name")).toMatch(/^secure-v/);
  });
});

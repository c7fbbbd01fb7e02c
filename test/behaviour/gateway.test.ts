/**
 * Callers from outside, through a gateway. Names of groups are headings of Istio's reference "Gateway".
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Call, Result } from "./caller.ts";
import { eventually } from "../support/eventually.ts";
import { World } from "./world.ts";

function answer(name: string, hosts: string, text: string, more = ""): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [${hosts}]
  gateways: [edge/edge]
  http:
    - { ${more} directResponse: { status: 200, body: { string: ${text} } } }`;
}

let world: World;

beforeAll(async () => {
  world = await World.start("g", {
    proxies: [
      { name: "edge", type: "router", namespace: "edge", labels: { istio: "ingress" } },
      { name: "caller", labels: { app: "caller" } },
    ],
    services: [
      { name: "page", pods: { v1: 2 } },
      { name: "other" },
      {
        name: "edge",
        namespace: "edge",
        servedBy: ["edge"],
        ports: [{ name: "http", port: 80, to: "http" }],
      },
    ],
    istio: [
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { istio: ingress }
  servers:
    - port: { number: 8088, name: http, protocol: HTTP }
      hosts: ["*.example.com", shop/closed.example.org, bank/open.example.org]
    - port: { number: 8089, name: http-secure, protocol: HTTP }
      hosts: ["*.example.com"]
      tls: { httpsRedirect: true }
    - port: { number: 8090, name: http-empty, protocol: HTTP }
      hosts: [nobody.example.net]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: elsewhere, namespace: edge }
spec:
  selector: { istio: other }
  servers:
    - { port: { number: 8091, name: http, protocol: HTTP }, hosts: ["*"] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: page }
spec:
  hosts: [page.example.com]
  gateways: [edge/edge]
  http:
    - match: [{ uri: { prefix: /api } }]
      route: [{ destination: { host: page } }]
    - match: [{ uri: { prefix: /moved } }]
      redirect: { uri: /api, derivePort: FROM_REQUEST_PORT }`,
      answer("twins", "twin-one.example.com, twin-two.example.com", "twins"),
      answer("page-more", "page.example.com", "more", "match: [{ uri: { prefix: /more } }],"),
      answer("wide", '"*.example.com"', "wide"),
      answer("closed", "closed.example.org, open.example.org", "closed"),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: both }
spec:
  hosts: [other, both.example.com]
  gateways: [mesh, edge/edge]
  http:
    - { match: [{ gateways: [edge/edge] }], directResponse: { status: 200, body: { string: from-outside } } }
    - { match: [{ gateways: [mesh] }], directResponse: { status: 200, body: { string: from-inside } } }`,
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

/** Calls the gateway on a port as a host. */
function ask(port: number, host: string, path = "/", call: Call = {}): Promise<Result> {
  return world.outside.send(`http://${world.addressOf("edge")}:${port}${path}`, { host, ...call });
}

describe("Server", () => {
  test("hosts: a name that a VirtualService has too is served", async () => {
    const { status, seen } = await ask(8088, "page.example.com", "/api/page");
    expect({ status, path: seen?.path }).toEqual({ status: 200, path: "/api/page" });
    expect(seen?.pod).toMatch(/^page-v1-/);
  });

  test("hosts: the port in Host does not matter", async () => {
    expect((await ask(8088, "page.example.com:8088", "/api")).status).toBe(200);
  });

  test("hosts: a wildcard is served where a VirtualService has the same", async () => {
    expect((await ask(8088, "any.example.com")).text).toBe("wide");
  });

  test("hosts: another one is not found", async () => {
    expect((await ask(8088, "page.example.net", "/api")).status).toBe(404);
  });

  test("hosts: namespace/host is for VirtualServices of that namespace only", async () => {
    expect((await ask(8088, "closed.example.org")).text).toBe("closed");
    expect((await ask(8088, "open.example.org")).status).toBe(404);
  });

  test("a path that no route of the host matches is not found", async () => {
    expect((await ask(8088, "page.example.com", "/nothing")).status).toBe(404);
  });

  test("routes of several VirtualServices for one host are joined", async () => {
    expect((await ask(8088, "page.example.com", "/more")).text).toBe("more");
  });

  test("several hosts of a VirtualService have its routes", async () => {
    expect((await ask(8088, "twin-one.example.com")).text).toBe("twins");
    expect((await ask(8088, "twin-two.example.com")).text).toBe("twins");
  });

  test("a redirect may name the request's port", async () => {
    const { status, headers } = await ask(8088, "page.example.com", "/moved");
    expect({ status, location: headers["location"] }).toEqual({
      status: 301,
      location: "http://page.example.com:8088/api",
    });
  });

  test("a port without VirtualServices finds nothing", async () => {
    expect((await ask(8090, "nobody.example.net")).status).toBe(404);
  });

  test("a Gateway that selects other workloads opens no port here", async () => {
    await expect(ask(8091, "any.example.com")).rejects.toThrow("ECONNREFUSED");
  });
});

describe("ServerTLSSettings httpsRedirect", () => {
  test("callers without TLS are sent to HTTPS", async () => {
    const { status, headers } = await ask(8089, "page.example.com", "/api?a=b");
    expect({ status, location: headers["location"] }).toEqual({
      status: 301,
      location: "https://page.example.com/api?a=b",
    });
  });

  test("also for hosts without a VirtualService of their own", async () => {
    expect((await ask(8089, "unknown.example.com")).status).toBe(301);
  });
});

describe("VirtualService gateways", () => {
  test("routes may be for sidecars, for gateways, or for both", async () => {
    expect((await ask(8088, "both.example.com")).text).toBe("from-outside");
    expect((await world.caller("caller").send("http://other:9080/")).text).toBe("from-inside");
  });

  test("routes for a gateway are not the sidecars'", async () => {
    const { seen } = await world.caller("caller").send("http://page:9080/nothing");
    expect(seen?.pod).toMatch(/^page-v1-/);
  });
});

describe("experimental.istio.io/disable-gateway-port-translation", () => {
  const service = (labels: string) => `
apiVersion: v1
kind: Service
metadata: { name: translated, namespace: edge, labels: { ${labels} } }
spec:
  selector: { istio: ingress }
  clusterIP: 10.110.9.9
  ports: [{ name: http, port: 8093, targetPort: 8094 }]`;

  test("a server's port is the Service's, or with the label the Pods' own", async () => {
    world.apply(service(""), "east");
    world.apply(`
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: translated, namespace: edge }
spec:
  selector: { istio: ingress }
  servers: [{ port: { number: 8093, name: http-translated, protocol: HTTP }, hosts: [translated.example.com] }]`);
    world.apply(answer("translated", "translated.example.com", "translated").replace("edge/edge", "edge/translated"));
    // A port that is not listened on refuses.
    const answering = async (port: number): Promise<string | undefined> =>
      (await ask(port, "translated.example.com", "/", { fresh: true }).catch(() => undefined))?.text;
    await eventually("the Pods' port answers", async () => (await answering(8094)) === "translated");
    expect(await answering(8093)).toBeUndefined();
    world.apply(service("experimental.istio.io/disable-gateway-port-translation: 'false'"), "east");
    await eventually("the server's own port answers", async () => (await answering(8093)) === "translated");
    await eventually("the other is closed", async () => (await answering(8094)) === undefined);
  });
});

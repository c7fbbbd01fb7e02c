/**
 * Calls from one network to another: a gateway of the other network passes mutual TLS of the mesh on by its server name. Names of
 * groups are those of Istio's references "Gateway" and "Global Mesh Options".
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { greeting } from "./greeting.ts";
import { podText, serviceText } from "./kubernetes.ts";
import { callerIn, Strangers } from "./strangers.ts";
import { World } from "./world.ts";

let world: World;
let strangers: Strangers;

const network = (name: string) => ({ "topology.istio.io/network": name });

const server = "server.shop.svc.cluster.local";
const sni = (port: number, host = server, subset = ""): string => `outbound_.${port}_.${subset}_.${host}`;

const ports = [
  { name: "http", port: 80, to: "http" },
  { name: "any", port: 81, to: "h2c" },
  { name: "tcp", port: 82, to: "tcp" },
] as const;

const crossing = 15_443;

/** The Service by which a network is entered, `far` unless told; without an address it is no gateway. */
function border(address: string, of = "far"): string {
  return serviceText({
    name: of === "far" ? "border" : `border-of-${of}`,
    namespace: "istio-system",
    address: of === "far" ? "10.111.0.1" : "10.111.0.4",
    ports: [{ name: "tls", port: crossing }],
    endpoints: [],
    labels: network(of),
    spec: { type: "LoadBalancer" },
    status: { loadBalancer: { ingress: address === "" ? [] : [{ ip: address }] } },
  });
}

beforeAll(async () => {
  world = await World.start("net", {
    // Connections between proxies are opened anew for each request.
    mesh: { defaultTrafficPolicy: { connectionPool: { http: { maxRequestsPerConnection: 1 } } } },
    proxies: [
      { name: "client", network: "here", labels: { app: "client" }, identity: "client" },
      { name: "uncertified", network: "here", labels: { app: "uncertified" } },
      { name: "server", labels: { app: "server", version: "v1", ...network("far") }, identity: "server", serves: true },
      // It needs no certificate to pass on what is not for it.
      { name: "border", type: "router", network: "far", namespace: "istio-system", labels: { app: "border" } },
    ],
    services: [{ name: "server", ports, servedBy: ["server"] }, { name: "plain" }, { name: "hidden" }],
    istio: [
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: border, namespace: istio-system }
spec:
  selector: { app: border }
  servers:
    - port: { number: ${crossing}, name: tls, protocol: TLS }
      hosts: ["*.shop.svc.cluster.local"]
      tls: { mode: AUTO_PASSTHROUGH }
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: server }
spec: { host: server, subsets: [{ name: v1, labels: { version: v1 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: server }
spec:
  hosts: [server]
  http:
    - { match: [{ uri: { prefix: /subset } }], route: [{ destination: { host: server, subset: v1 } }] }
    - route: [{ destination: { host: server } }]`,
    ],
    kubernetes: {
      east: [
        border("@border"),
        // The gateway of a third network is the same one: passed on across networks, a connection would come back for ever.
        border("@border", "third"),
        podText({
          name: "astray",
          at: "plain-v1-0",
          labels: { ...network("third"), "security.istio.io/tlsMode": "istio" },
        }),
        serviceText({ name: "astray", address: "10.111.0.5", endpoints: [{ at: "plain-v1-0", pod: "astray" }] }),
        podText({ name: "plain-v1-0", at: "plain-v1-0", labels: network("far") }),
        serviceText({
          name: "hidden",
          address: "10.111.0.2",
          endpoints: [{ at: "server", pod: "server" }],
          annotations: { "networking.istio.io/exportTo": "." },
        }),
        podText({ name: "other", namespace: "bank", at: "server", labels: { "security.istio.io/tlsMode": "istio" } }),
        serviceText({
          name: "other",
          namespace: "bank",
          address: "10.111.0.3",
          endpoints: [{ at: "server", pod: "other" }],
        }),
      ],
    },
  });
  strangers = new Strangers(world.outside, world.identities);
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

const mesh = "as spiffe://cluster.local/ns/shop/sa/client";

async function ask(from: string, url: string, http2 = false): Promise<string> {
  const { status, seen } = await world.caller(from).send(`http://${url}`, { http2, fresh: !http2 });
  return seen ? `${seen.pod} ${callerIn(seen.headers)}` : `status ${status}`;
}

/** How many connections the gateway has passed on to a cluster. */
function passed(cluster: string): Promise<number> {
  return world
    .envoy("border")
    .sumOf(new RegExp(`^tcp\\.${cluster.replaceAll(".", String.raw`\.`)}\\.downstream_cx_total$`));
}

/** Addresses of a service's endpoints, as a caller's Envoy has them. */
async function addresses(host: string, port: number): Promise<readonly string[]> {
  const text = await world.envoy("client").admin("GET", "/clusters");
  const found = text.matchAll(new RegExp(`^outbound\\|${port}\\|\\|${host}::([\\d.]+:\\d+)::cx_active`, "gm"));
  return [...found].map(([, address = ""]) => address);
}

describe("MeshNetworks", () => {
  test("endpoints of another network stand behind its gateway, and the workload itself ends the caller's TLS", async () => {
    expect(await addresses(server, 80)).toEqual([`${world.addressOf("border")}:${crossing}`]);
    const before = await passed(sni(80));
    expect(await ask("client", "server:80/")).toBe(`server ${mesh}`);
    expect((await passed(sni(80))) - before).toBe(1);
  });

  test("for HTTP/2 on a port without a protocol, for bytes, and for subsets", async () => {
    expect(await ask("client", "server:81/", true)).toBe(`server ${mesh}`);
    expect(await greeting(await world.caller("client").connect("server", 82))).toBe("server");
    expect(await ask("client", "server:80/subset")).toBe(`server ${mesh}`);
    expect(await Promise.all([sni(81), sni(82), sni(80, server, "v1")].map(passed))).toEqual([1, 1, 1]);
  });

  test("a workload there that speaks no mutual TLS is not called, nor any by a caller that cannot", async () => {
    expect(await ask("client", "plain:9080/")).toBe("status 503");
    expect(await ask("uncertified", "server:80/")).toBe("status 503");
  });

  test("a PeerAuthentication that turns it off leaves nothing to call", async () => {
    world.apply(
      "{ apiVersion: security.istio.io/v1, kind: PeerAuthentication, metadata: { name: off }, spec: { selector: { matchLabels: { app: server } }, mtls: { mode: DISABLE } } }",
    );
    await expect.poll(() => ask("client", "server:80/"), { timeout: 20_000 }).toBe("status 503");
    expect(await strangers.request("stock", world.addressOf("border"), crossing, { servername: sni(80) })).toBe(
      "closed",
    );
    world.remove("PeerAuthentication", "off");
    await expect.poll(() => ask("client", "server:80/"), { timeout: 20_000 }).toBe(`server ${mesh}`);
  });

  test("while no gateway of the network is known, endpoints are called at their own addresses", async () => {
    world.apply(border(""), "east");
    await expect.poll(() => addresses(server, 80), { timeout: 20_000 }).toEqual([`${world.addressOf("server")}:8080`]);
    expect(await ask("client", "server:80/")).toBe(`server ${mesh}`);
    expect(await ask("client", "plain:9080/")).toBe("plain-v1-0 plain");
    world.apply(border("@border"), "east");
    await expect.poll(() => ask("client", "plain:9080/"), { timeout: 20_000 }).toBe("status 503");
  });
});

/** What the gateway makes of callers without proxies, by the server name that they ask for. */
const knocks = [
  ["stock", sni(80), "as spiffe://cluster.local/ns/shop/sa/stock"],
  ["stock", sni(80, server, "v1"), "as spiffe://cluster.local/ns/shop/sa/stock"],
  // The handshake is with the workload: its proxy asks for a certificate.
  ["nameless", sni(80), "alert certificate required"],
  ["foreign", sni(80), "alert unknown ca"],
  ["expired", sni(80), "alert certificate expired"],
  // No such port, subset or service; one that speaks no mutual TLS, one of another host, and one that is not exported here.
  ["stock", sni(83), "closed"],
  ["stock", sni(80, server, "v2"), "closed"],
  ["stock", sni(80, "nobody.shop.svc.cluster.local"), "closed"],
  ["stock", sni(9080, "plain.shop.svc.cluster.local"), "closed"],
  ["stock", sni(9080, "other.bank.svc.cluster.local"), "closed"],
  ["stock", sni(9080, "hidden.shop.svc.cluster.local"), "closed"],
  // Names of other forms.
  ["stock", server, "closed"],
  ["stock", `outbound|80||${server}`, "closed"],
  ["plain", "", "closed"],
] as const;

describe("ServerTLSSettings mode AUTO_PASSTHROUGH", () => {
  test.each(knocks)("%s at %s: %s", async (who, servername, expected) => {
    expect(await strangers.request(who, world.addressOf("border"), crossing, { servername })).toBe(expected);
  });

  test("what is in a further network is not passed on: it would go to and fro between gateways", async () => {
    const servername = sni(9080, "astray.shop.svc.cluster.local");
    const knock = strangers.request("stock", world.addressOf("border"), crossing, { servername });
    expect(await knock).toBe("closed");
    expect(await passed(servername)).toBe(1);
  });

  test("who offers no protocol of the mesh is not passed on, so that nobody comes in whom the workload does not ask", async () => {
    const more = { servername: sni(82), ALPNProtocols: ["http/1.1"] };
    expect(await strangers.request("stock", world.addressOf("border"), crossing, more)).toBe("closed");
    expect(await strangers.request("stock", world.addressOf("border"), crossing, { ...more, ALPNProtocols: [] })).toBe(
      "closed",
    );
  });

  test("no route is needed, and nothing is wrong with the Gateway", () => {
    expect(world.findings("Gateway", "border", "istio-system")).toEqual([]);
    expect(world.refused).toEqual([]);
  });
});

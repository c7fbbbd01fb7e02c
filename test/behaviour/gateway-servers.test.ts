/**
 * What gateways listen for besides plain HTTP: TLS that they end or pass on, and TCP. Names of groups are those of Istio's
 * reference "Gateway".
 */
import { X509Certificate } from "node:crypto";
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type ConnectionOptions, connect as connectTls, type TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Certificate, createAuthority } from "#base/testing/certificate.ts";
import { eventually } from "../support/eventually.ts";
import { addition, envoyFilter, lua } from "./envoy-filters.ts";
import { greeting } from "./greeting.ts";
import { type TlsAnswer, tlsRequest } from "./tls-request.ts";
import { World } from "./world.ts";

const authority = createAuthority("test authority");
const stranger = createAuthority("another authority");
const client = authority.issue("client.example.com", "spiffe://cluster.local/ns/shop/sa/client");
const guest = authority.issue("guest.example.com");
const rsa = authority.issueFor({ names: ["one.example.com"], rsa: 2048 });
const ecdsa = authority.issue("one.example.com");

let world: World;
let folder: string;

/** Writes a certificate and its key where the gateway reads them; the fields of a server's `tls` that say so. */
function files(name: string, { certificate, key }: Certificate): string {
  writeFileSync(join(folder, `${name}.crt`), certificate, { mode: 0o644 });
  writeFileSync(join(folder, `${name}.key`), key, { mode: 0o644 });
  return `serverCertificate: ${join(folder, `${name}.crt`)}, privateKey: ${join(folder, `${name}.key`)}`;
}

function http(name: string, host: string, more = ""): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${name} }
spec:
  hosts: [${host}]
  gateways: [edge/edge]
  ${more}
  http: [{ route: [{ destination: { host: page } }] }]`;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-certificates-"));
  // The gateway's user makes a socket there.
  chmodSync(folder, 0o777);
  writeFileSync(join(folder, "ca.crt"), authority.certificate);
  const one = files("one", authority.issue("one.example.com"));
  const two = files("two", authority.issue("two.example.com", "*.two.example.com"));
  const ca = `caCertificates: ${join(folder, "ca.crt")}`;
  writeFileSync(join(folder, "ca.crl"), authority.revoke(guest.certificate));
  const crl = `caCrl: ${join(folder, "ca.crl")}`;
  const [firstPair, secondPair] = [files("rsa", rsa), files("ecdsa", ecdsa)];
  world = await World.start("t", {
    proxies: [{ name: "edge", type: "router", namespace: "edge", labels: { istio: "ingress" } }],
    services: [
      { name: "page" },
      { name: "store", pods: { v1: 1, v2: 1 }, ports: [{ name: "tcp", port: 9001, to: "tcp" }] },
      { name: "secure", pods: { v1: 1, v2: 1 }, ports: [{ name: "tls", port: 9443, to: "tls" }] },
    ],
    istio: [
      ...["store", "secure"].map(
        (host) => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host} }
spec:
  host: ${host}
  subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }]`,
      ),
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { istio: ingress }
  servers:
    - { name: main, port: { number: 8443, name: https-one, protocol: HTTPS }, hosts: [one.example.com], tls: { mode: SIMPLE, ${one} } }
    - { port: { number: 8443, name: https-two, protocol: HTTPS }, hosts: ["shop/*.two.example.com", two.example.com], tls: { mode: SIMPLE, ${two}, minProtocolVersion: TLSV1_3 } }
    - { port: { number: 8443, name: passed, protocol: TLS }, hosts: [passed.example.com], tls: { mode: PASSTHROUGH } }
    - { port: { number: 8444, name: mutual, protocol: HTTPS }, hosts: ["*"], tls: { mode: MUTUAL, ${one}, ${ca}, subjectAltNames: ["spiffe://cluster.local/ns/shop/sa/client"] } }
    - { port: { number: 8445, name: optional, protocol: HTTPS }, hosts: ["*"], tls: { mode: OPTIONAL_MUTUAL, ${one}, ${ca} } }
    - { port: { number: 8446, name: ended, protocol: TLS }, hosts: ["*"], tls: { mode: SIMPLE, ${one} } }
    - { port: { number: 8447, name: passed-https, protocol: HTTPS }, hosts: ["*.example.com"], tls: { mode: PASSTHROUGH } }
    - { port: { number: 8448, name: https-first, protocol: HTTPS }, hosts: [one.example.com], tls: { mode: SIMPLE, ${one} } }
    - { port: { number: 8448, name: http-after, protocol: HTTP }, hosts: [any.example.com] }
    - { port: { number: 8449, name: pairs, protocol: HTTPS }, hosts: ["*"], tls: { mode: SIMPLE, tlsCertificates: [{ ${firstPair} }, { ${secondPair} }] } }
    - { port: { number: 8450, name: revoking, protocol: HTTPS }, hosts: ["*"], tls: { mode: MUTUAL, ${one}, ${ca}, ${crl} } }
    - { port: { number: 9100, name: tcp, protocol: TCP }, hosts: ["*"] }
    - { port: { number: 9101, name: tcp-more, protocol: TCP }, hosts: ["*"] }
    - { port: { number: 8092, name: http-inside, protocol: HTTP }, bind: 127.0.0.1, hosts: [inside.example.com] }
    - { port: { number: 8092, name: http-outside, protocol: HTTP }, bind: "@edge", hosts: [outside.example.com] }
    - { port: { number: 0, name: http-socket, protocol: HTTP }, bind: "unix://${join(folder, "edge.sock")}", hosts: [socket.example.com] }
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: later, namespace: edge }
spec:
  selector: { istio: ingress }
  servers:
    - { port: { number: 8443, name: https-more, protocol: HTTPS }, hosts: [more.example.com], tls: { mode: SIMPLE, ${two} } }
    - { port: { number: 8443, name: https-again, protocol: HTTPS }, hosts: [one.example.com], tls: { mode: SIMPLE, ${two} } }
    - { port: { number: 9100, name: http, protocol: HTTP }, hosts: ["*"] }`,
      envoyFilter(
        "routes",
        [
          `
applyTo: ROUTE_CONFIGURATION
match: { context: GATEWAY, routeConfiguration: { portName: https-one } }
patch: { operation: MERGE, value: { ${addition("x-port", "https-one")} } }`,
          `
applyTo: ROUTE_CONFIGURATION
match: { context: GATEWAY, routeConfiguration: { gateway: edge/edge } }
patch: { operation: MERGE, value: { ${addition("x-gateway", "edge/edge")} } }`,
          lua("one", { context: "GATEWAY", header: "x-sni", chain: "sni: one.example.com," }),
        ],
        { namespace: "edge" },
      ),
      http("one", "one.example.com"),
      http("two", '"*.two.example.com"'),
      http("more", "more.example.com", "exportTo: [shop, edge]").replace("edge/edge", "edge/later"),
      http("any", "any.example.com"),
      http("inside", "inside.example.com"),
      http("outside", "outside.example.com"),
      http("socket", "socket.example.com"),
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: tcp }
spec:
  hosts: ["*"]
  gateways: [edge/edge]
  tcp:
    - match: [{ port: 9100 }]
      route: [{ destination: { host: store, subset: v1 } }]
    - match: [{ port: 9101, sourceLabels: { app: nobody } }]
      route: [{ destination: { host: store, subset: v2 } }]
    - match: [{ port: 8446 }]
      route: [{ destination: { host: store, subset: v2 } }]`,
      `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: passed }
spec:
  hosts: [passed.example.com]
  gateways: [edge/edge]
  tls:
    - match: [{ port: 8443, sniHosts: [passed.example.com] }]
      route: [{ destination: { host: secure, subset: v1 } }]
    - match: [{ port: 8447, sniHosts: [passed.example.com] }]
      route: [{ destination: { host: secure, subset: v2 } }]`,
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** What callers hear when nobody takes their connection. */
const broken = /ECONNRESET|EPIPE|closed|disconnected/;
/** What callers hear whose certificate is not taken: an alert, unless they were still sending when the connection broke. */
const refused = /alert|ECONNRESET|EPIPE|closed|disconnected/;

/** A request over TLS; fails as the handshake does. */
async function ask(
  port: number,
  servername: string,
  options: ConnectionOptions = {},
  host = servername,
): Promise<TlsAnswer> {
  const socket = await world.outside.connect(world.addressOf("edge"), port);
  return tlsRequest(socket, servername, { ca: [authority.certificate], ...options }, host);
}

/** What a peer behind TLS says first, and for whom it is certified. */
async function greetedByName(port: number, servername: string, ca: string): Promise<string> {
  const socket = await world.outside.connect(world.addressOf("edge"), port);
  const secure: TLSSocket = connectTls({ socket, servername, ca: [ca], rejectUnauthorized: false });
  return greeting(secure);
}

describe("Server port HTTPS, ServerTLSSettings mode SIMPLE", () => {
  test("each server has its own certificate and hosts", async () => {
    expect(await ask(8443, "one.example.com")).toMatchObject({ status: 200, certifiedFor: "DNS:one.example.com" });
    expect(await ask(8443, "a.two.example.com")).toMatchObject({ status: 200, version: "TLSv1.3" });
    expect(await ask(8443, "more.example.com", { checkServerIdentity: () => undefined })).toMatchObject({
      status: 200,
    });
  });

  test("a host of another server is not found", async () => {
    expect((await ask(8443, "one.example.com", {}, "a.two.example.com")).status).toBe(404);
  });

  test("a name that no server has is refused", async () => {
    await expect(ask(8443, "nobody.example.com")).rejects.toThrow(broken);
  });

  test("minProtocolVersion", async () => {
    await expect(ask(8443, "a.two.example.com", { maxVersion: "TLSv1.2" })).rejects.toThrow(/protocol version/);
    expect((await ask(8443, "one.example.com", { maxVersion: "TLSv1.2" })).version).toBe("TLSv1.2");
  });

  test("HTTP/2 is offered", async () => {
    const socket = await world.outside.connect(world.addressOf("edge"), 8443);
    const secure = connectTls({
      socket,
      servername: "one.example.com",
      ca: [authority.certificate],
      ALPNProtocols: ["h2"],
    });
    await new Promise((resolve, reject) => void secure.once("secureConnect", resolve).once("error", reject));
    expect(secure.alpnProtocol).toBe("h2");
    secure.destroy();
  });
});

describe("ServerTLSSettings tlsCertificates", () => {
  test.each([
    ["RSA", rsa],
    ["ECDSA", ecdsa],
  ] as const)("a caller of %s gets that certificate", async (kind, { certificate }) => {
    const ciphers = `ECDHE-${kind}-AES128-GCM-SHA256`;
    const { fingerprint } = await ask(8449, "one.example.com", { maxVersion: "TLSv1.2", ciphers }, "any.example.com");
    expect(fingerprint).toBe(new X509Certificate(certificate).fingerprint256);
  });
});

describe("ServerTLSSettings mode MUTUAL", () => {
  const { certificate: cert, key } = client;

  test("caCrl: whose certificate is revoked is refused", async () => {
    expect((await ask(8450, "one.example.com", { cert, key }, "any.example.com")).status).toBe(200);
    const shown = { cert: guest.certificate, key: guest.key };
    await expect(ask(8450, "one.example.com", shown, "any.example.com")).rejects.toThrow(refused);
  });

  test("a client certificate of the authority with one of the names is let in, and told to the workload", async () => {
    const { status, headers } = await ask(8444, "one.example.com", { cert, key }, "any.example.com");
    expect(status).toBe(200);
    expect(headers["x-forwarded-client-cert"]).toContain("URI=spiffe://cluster.local/ns/shop/sa/client");
  });

  test("what a caller says of its certificate itself is not believed", async () => {
    const { headers } = await ask(8443, "one.example.com");
    expect(headers["x-forwarded-client-cert"]).toBeUndefined();
  });

  test("none, one with other names, and one of another authority are refused", async () => {
    await expect(ask(8444, "one.example.com", {}, "any.example.com")).rejects.toThrow(refused);
    const { certificate, key: guestKey } = guest;
    await expect(ask(8444, "one.example.com", { cert: certificate, key: guestKey }, "any.example.com")).rejects.toThrow(
      refused,
    );
    const forged = stranger.issue("client.example.com", "spiffe://cluster.local/ns/shop/sa/client");
    const forgery = { cert: forged.certificate, key: forged.key };
    await expect(ask(8444, "one.example.com", forgery, "any.example.com")).rejects.toThrow(refused);
  });
});

describe("ServerTLSSettings mode OPTIONAL_MUTUAL", () => {
  test("a client may have no certificate, but none of another authority", async () => {
    expect((await ask(8445, "one.example.com", {}, "any.example.com")).status).toBe(200);
    const { certificate: cert, key } = stranger.issue("client.example.com");
    await expect(ask(8445, "one.example.com", { cert, key }, "any.example.com")).rejects.toThrow(refused);
  });
});

describe("ServerTLSSettings mode PASSTHROUGH", () => {
  test("connections go by their server names, as they are", async () => {
    expect(await greetedByName(8443, "passed.example.com", authority.certificate)).toBe("secure-v1-0");
    expect(await greetedByName(8447, "passed.example.com", authority.certificate)).toBe("secure-v2-0");
  });

  test("another name is refused", async () => {
    expect(await greetedByName(8447, "other.example.com", authority.certificate)).toBe("");
  });
});

describe("Server port TLS", () => {
  test("TLS ends at the gateway, and the bytes go on", async () => {
    expect(await greetedByName(8446, "one.example.com", authority.certificate)).toBe("store-v2-0");
  });
});

describe("Server port TCP", () => {
  test("connections follow the tcp routes of the port", async () => {
    expect(await greeting(await world.outside.connect(world.addressOf("edge"), 9100))).toBe("store-v1-0");
  });

  test("sourceLabels say nothing about callers of a gateway", async () => {
    expect(await greeting(await world.outside.connect(world.addressOf("edge"), 9101))).toBe("store-v2-0");
  });
});

describe("Server port HTTP", () => {
  test("may follow HTTPS on the same port", async () => {
    const url = `http://${world.addressOf("edge")}:8448/`;
    expect((await world.outside.send(url, { host: "any.example.com" })).seen?.pod).toBe("page-v1-0");
    expect((await ask(8448, "one.example.com")).status).toBe(200);
  });
});

describe("Server name", () => {
  test("counts the requests of a server with TLS apart", async () => {
    const counted = () => world.envoy("edge").sumOf(/^http\.main\.downstream_rq_completed$/);
    const before = await counted();
    await ask(8443, "one.example.com");
    await ask(8443, "a.two.example.com");
    expect((await counted()) - before).toBe(1);
  });
});

describe("Server port name", () => {
  test("is part of the names of the routes of a server with TLS, by which an EnvoyFilter finds them", async () => {
    expect((await ask(8443, "one.example.com")).headers["x-port"]).toBe("https-one");
    expect((await ask(8443, "a.two.example.com")).headers["x-port"]).toBeUndefined();
    expect((await ask(8443, "one.example.com")).headers["x-gateway"]).toBe("edge/edge");
    expect(
      (await ask(8443, "more.example.com", { checkServerIdentity: () => undefined })).headers["x-gateway"],
    ).toBeUndefined();
    const routes = await world.envoy("edge").admin("GET", "/config_dump?resource=dynamic_route_configs");
    expect(routes).toContain('"name": "https.8443.https-one.edge.edge"');
  });
});

describe("EnvoyFilter match of a filter chain", () => {
  test("sni is one of the chain's server names", async () => {
    expect((await ask(8443, "one.example.com")).headers["x-sni"]).toBe("one");
    expect((await ask(8443, "a.two.example.com")).headers["x-sni"]).toBeUndefined();
  });
});

describe("Server bind", () => {
  test("servers of one port on two addresses have hosts of their own", async () => {
    const outside = `http://${world.addressOf("edge")}:8092/`;
    expect((await world.outside.send(outside, { host: "outside.example.com" })).status).toBe(200);
    expect((await world.outside.send(outside, { host: "inside.example.com" })).status).toBe(404);
    const inside = await world.caller("edge").send("http://127.0.0.1:8092/", { host: "inside.example.com" });
    expect(inside.status).toBe(200);
  });

  test("a server on a Unix socket has hosts of its own", async () => {
    const statusOf = (host: string): Promise<number | undefined> =>
      new Promise((resolve, reject) => {
        const sent = request({ socketPath: join(folder, "edge.sock"), path: "/", headers: { host } });
        sent.once("error", reject).once("response", (response) => resolve(response.resume().statusCode));
        sent.end();
      });
    expect(await statusOf("socket.example.com")).toBe(200);
    expect(await statusOf("outside.example.com")).toBe(404);
  });
});

describe("AuthorizationPolicy for servers of bytes", () => {
  const passed = async (port: number): Promise<string> =>
    greetedByName(port, "passed.example.com", authority.certificate);
  const policy = (rule: string): string => `
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: bytes, namespace: edge }
spec: { selector: { matchLabels: { istio: ingress } }, action: DENY, rules: [${rule}] }`;

  test.each([
    ["Operation ports", "{ to: [{ operation: { ports: ['8447'] } }] }", ["secure-v1-0", ""]],
    ["Condition connection.sni", "{ when: [{ key: connection.sni, values: [passed.example.com] }] }", ["", ""]],
    [
      "Condition connection.sni",
      "{ when: [{ key: connection.sni, values: ['*.org'] }] }",
      ["secure-v1-0", "secure-v2-0"],
    ],
    ["Source ipBlocks", "{ from: [{ source: { notIpBlocks: [203.0.113.0/24] } }] }", ["", ""]],
  ])("%s: %s", async (_heading, rule, [first, second]) => {
    world.apply(policy(rule));
    try {
      await eventually("the rule holds", async () => (await passed(8447)) === second);
      expect(await passed(8443)).toBe(first);
      expect(await passed(8447)).toBe(second);
    } finally {
      world.remove("AuthorizationPolicy", "bytes", "edge");
      await eventually("it holds no more", async () => (await passed(8447)) === "secure-v2-0");
    }
  });
});

/**
 * HTTP/3 at a gateway, as Istio has it behind PILOT_ENABLE_QUIC_LISTENERS. The caller is an Envoy that sends what it gets
 * on a Unix socket over QUIC.
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { request } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { NetworkEnvoy } from "../support/envoy.ts";
import { eventually } from "../support/eventually.ts";
import { World } from "./world.ts";

const authority = createAuthority("test authority");
const names = ["one.example.com", "two.example.com", "mutual.example.com"] as const;
type Name = (typeof names)[number];

let world: World;
let client: NetworkEnvoy;
let folder: string;

function gateway(): string {
  const { certificate, key } = authority.issue(...names);
  writeFileSync(join(folder, "server.crt"), certificate, { mode: 0o644 });
  writeFileSync(join(folder, "server.key"), key, { mode: 0o644 });
  writeFileSync(join(folder, "ca.crt"), authority.certificate, { mode: 0o644 });
  const files = `serverCertificate: ${join(folder, "server.crt")}, privateKey: ${join(folder, "server.key")}`;
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { app: edge }
  servers:
    - { port: { number: 443, name: one, protocol: HTTPS }, hosts: [one.example.com], tls: { mode: SIMPLE, ${files} } }
    - { port: { number: 443, name: two, protocol: HTTPS }, hosts: [two.example.com], tls: { mode: SIMPLE, ${files} } }
    - { port: { number: 443, name: mutual, protocol: HTTPS }, hosts: [mutual.example.com], tls: { mode: OPTIONAL_MUTUAL, ${files}, caCertificates: ${join(folder, "ca.crt")} } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: pages }
spec:
  hosts: [${names.join(", ")}]
  gateways: [edge/edge]
  http: [{ route: [{ destination: { host: page } }] }]`;
}

/** Where the port of the service of the gateway leads to, for TCP and for UDP. */
const port = 8444;

const http = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
const options = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
const typed = (name: string, value: object = {}) => ({ "@type": `type.googleapis.com/${name}`, ...value });

/** The caller's clusters: one for each name that it asks for. */
function cluster(name: Name) {
  const address = { socket_address: { protocol: "UDP", address: world.addressOf("edge"), port_value: port } };
  const tls = {
    sni: name,
    common_tls_context: { validation_context: { trusted_ca: { filename: join(folder, "ca.crt") } } },
  };
  return {
    name,
    type: "STATIC",
    connect_timeout: "5s",
    load_assignment: { cluster_name: name, endpoints: [{ lb_endpoints: [{ endpoint: { address } }] }] },
    typed_extension_protocol_options: {
      [options]: typed(options, { explicit_http_config: { http3_protocol_options: {} } }),
    },
    transport_socket: {
      name: "envoy.transport_sockets.quic",
      typed_config: typed("envoy.extensions.transport_sockets.quic.v3.QuicUpstreamTransport", {
        upstream_tls_context: tls,
      }),
    },
  };
}

function callerResources() {
  const manager = typed(http, {
    stat_prefix: "caller",
    route_config: {
      virtual_hosts: names.map((name) => ({
        name,
        domains: [name],
        routes: [{ match: { prefix: "/" }, route: { cluster: name } }],
      })),
    },
    http_filters: [
      {
        name: "router",
        typed_config: typed("envoy.extensions.filters.http.router.v3.Router", { suppress_envoy_headers: true }),
      },
    ],
  });
  const listener = {
    name: "caller",
    address: { pipe: { path: join(folder, "caller.sock") } },
    filter_chains: [{ filters: [{ name: "http", typed_config: manager }] }],
  };
  return { listeners: [listener], clusters: names.map(cluster) };
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-http3-"));
  chmodSync(folder, 0o777);
  world = await World.start("q", {
    mesh: { protocols: { http3: true } },
    proxies: [{ name: "edge", type: "router", namespace: "edge", labels: { app: "edge" } }],
    services: [
      { name: "page" },
      {
        name: "edge",
        namespace: "edge",
        servedBy: ["edge"],
        ports: [
          { name: "https", port: 443, to: "https" },
          { name: "http3", port: 443, to: "https", protocol: "UDP" },
        ],
      },
    ],
    istio: [gateway()],
  });
  client = await NetworkEnvoy.start({ namespace: world.outsideNamespace, resources: callerResources() });
});

afterAll(async () => {
  await (client as NetworkEnvoy | undefined)?.[Symbol.asyncDispose]();
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

interface Answer {
  readonly status: number | undefined;
  readonly altSvc: string | undefined;
  readonly text: string;
}

type Sent = ReturnType<typeof request>;

function answerTo(sent: Sent): Promise<Answer> {
  return new Promise((resolve, reject) => {
    sent.once("error", reject).once("response", (response) => {
      let text = "";
      response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      const altSvc = response.headers["alt-svc"];
      response.on("end", () => resolve({ status: response.statusCode, altSvc, text }));
    });
    sent.end();
  });
}

/** A request over QUIC. */
const overQuic = (host: Name): Promise<Answer> =>
  answerTo(request({ socketPath: join(folder, "caller.sock"), path: "/a", headers: { host } }));

/** A request over TCP. */
async function overTcp(host: Name): Promise<Answer> {
  const socket = await world.outside.connect(world.addressOf("edge"), port);
  const createConnection = () => connectTls({ socket, servername: host, ca: [authority.certificate] });
  return answerTo(httpsRequest({ host, path: "/", createConnection, headers: { host } }));
}

describe("HTTP/3 at gateways", () => {
  test("requests over QUIC have the routes of the HTTPS server of their name", async () => {
    for (const host of ["one.example.com", "two.example.com"] as const) {
      const { status, text } = await overQuic(host);
      expect({ status, seen: JSON.parse(text) as unknown }).toMatchObject({ status: 200, seen: { host, path: "/a" } });
    }
    expect(await client.sumOf(/^cluster\.(one|two)\.example\.com\.upstream_cx_http3_total$/)).toBe(2);
    expect(await world.envoy("edge").sumOf(/^http\.outbound_udp_.*downstream_cx_http3_total$/)).toBe(2);
  });

  test("callers by TCP are told of it, at the port of the service", async () => {
    expect(await overTcp("one.example.com")).toMatchObject({ status: 200, altSvc: 'h3=":443"; ma=86400' });
  });

  test("servers that ask for client certificates are not reached by QUIC, and say nothing of it", async () => {
    expect((await overQuic("mutual.example.com")).status).toBe(503);
    expect(await overTcp("mutual.example.com")).toMatchObject({ status: 200, altSvc: undefined });
  });

  test("without the mesh's word nothing listens on UDP", async () => {
    world.setMesh({});
    await eventually("the listener is gone", async () => {
      const listeners = await world.envoy("edge").admin("GET", "/listeners");
      return listeners.includes("0.0.0.0_8444::") && !listeners.includes("udp_");
    });
    expect((await overTcp("one.example.com")).status).toBe(200);
  });
});

/**
 * What a Sidecar says of the listeners of its workloads: their own ports and those that they call. Names of groups are
 * those of Istio's reference "Sidecar".
 */
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer } from "node:http";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { strangerAddress, World } from "./world.ts";

const authority = createAuthority("test authority");
/** An application that listens on a Unix socket. */
const application = createServer((_request, response) => response.end("by socket"));

let world: World;
let folder: string;

function ingress(): string {
  const { certificate, key } = authority.issue("server.test");
  writeFileSync(join(folder, "server.crt"), certificate, { mode: 0o644 });
  writeFileSync(join(folder, "server.key"), key, { mode: 0o644 });
  const files = `serverCertificate: ${join(folder, "server.crt")}, privateKey: ${join(folder, "server.key")}`;
  return `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: server }
spec:
  workloadSelector: { labels: { app: server } }
  inboundConnectionPool: { http: { http1MaxPendingRequests: 9 } }
  outboundTrafficPolicy: { mode: ALLOW_ANY, egressProxy: { host: second.shop.svc.cluster.local, port: { number: 9081 } } }
  ingress:
    - { port: { number: 7080, protocol: HTTP, name: local }, defaultEndpoint: "127.0.0.1:8080" }
    - port: { number: 7081, protocol: HTTP, name: instance }
      defaultEndpoint: "0.0.0.0:8080"
      connectionPool: { http: { http1MaxPendingRequests: 5 } }
    - { port: { number: 7082, protocol: HTTP, name: socket }, defaultEndpoint: "unix://${join(folder, "app.sock")}" }
    - { port: { number: 7083, protocol: HTTP, name: bound }, bind: 127.0.0.1, captureMode: NONE, defaultEndpoint: "127.0.0.1:8080" }
    - { port: { number: 7084, protocol: HTTP, name: bound-instance }, bind: 0.0.0.0, captureMode: NONE, defaultEndpoint: "0.0.0.0:8080" }
    - { port: { number: 7085, protocol: TCP, name: bound-bytes }, bind: 0.0.0.0, captureMode: NONE, defaultEndpoint: "0.0.0.0:9000" }
    - { port: { number: 7443, protocol: TLS, name: tls }, defaultEndpoint: "127.0.0.1:9000", tls: { mode: SIMPLE, ${files} } }
    - { port: { number: 7444, protocol: TLS, name: passed }, defaultEndpoint: "127.0.0.1:9000" }
    - { port: { number: 8081, protocol: HTTP2, name: same } }
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: alone }
spec:
  workloadSelector: { labels: { app: alone } }
  ingress: [{ port: { number: 7080, protocol: HTTP, name: http }, defaultEndpoint: "unix://${join(folder, "app.sock")}" }]`;
}

const egress = (): string => `
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: caller }
spec:
  workloadSelector: { labels: { app: caller } }
  outboundTrafficPolicy: { mode: REGISTRY_ONLY }
  egress:
    - { port: { number: 9080, protocol: HTTP, name: http }, hosts: [./first.shop.svc.cluster.local] }
    - { port: { number: 9082, protocol: HTTP, name: routed }, hosts: [./first.shop.svc.cluster.local, bank/*] }
    - { port: { number: 9083, protocol: TCP, name: at }, bind: 10.99.0.1, hosts: [./first.shop.svc.cluster.local] }
    - { port: { number: 9000, protocol: TCP, name: tcp }, bind: 127.0.0.1, captureMode: NONE, hosts: ["*/bytes.shop.svc.cluster.local"] }
    - { port: { number: 7090, protocol: HTTP, name: bound }, captureMode: NONE, hosts: ["./*"] }
    - { port: { number: 7777, protocol: HTTP_PROXY, name: proxy }, captureMode: NONE, hosts: ["./*"] }
    - { port: { number: 0, protocol: HTTP, name: socket }, bind: "unix://${join(folder, "http.sock")}", hosts: ["./first.shop.svc.cluster.local"] }
    - { port: { number: 0, protocol: TCP, name: bytes-socket }, bind: "unix://${join(folder, "bytes.sock")}", hosts: ["./bytes.shop.svc.cluster.local"] }
    - { hosts: ["./*"] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: first, namespace: bank }
spec:
  hosts: [first.shop.svc.cluster.local]
  http: [{ directResponse: { status: 200, body: { string: by-rule } } }]
---
apiVersion: networking.istio.io/v1
kind: Sidecar
metadata: { name: bound }
spec:
  workloadSelector: { labels: { app: bound } }
  outboundTrafficPolicy: { mode: REGISTRY_ONLY }
  egress: [{ bind: 127.0.0.1, captureMode: NONE, hosts: ["./*", ~shop/first.shop.svc.cluster.local] }]`;

/** A service with an HTTP port of each number. */
function httpService(name: string, ...ports: readonly number[]) {
  return { name, ports: ports.map((port) => ({ name: `http-${port}`, port, to: "http" as const })) };
}

/** The first bytes that a server sends. */
async function greeting(from: string, host: string, port: number): Promise<string> {
  const socket = await world.caller(from).connect(host, port);
  const [bytes] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return String(bytes);
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-sidecar-"));
  // Proxies make sockets there, as users of their own.
  chmodSync(folder, 0o777);
  application.listen(join(folder, "app.sock"));
  await once(application, "listening");
  chmodSync(join(folder, "app.sock"), 0o666);
  world = await World.start("l", {
    proxies: [
      { name: "server", labels: { app: "server" }, serves: true },
      { name: "caller", labels: { app: "caller" } },
      { name: "bound", labels: { app: "bound" } },
      { name: "alone", labels: { app: "alone" }, interception: "NONE" },
    ],
    services: [
      { name: "greeter", servedBy: ["server"] },
      httpService("first", 9080, 9082, 9083),
      httpService("second", 9080, 9081),
      httpService("local", 7090),
      { name: "bytes", ports: [{ name: "tcp", port: 9000, to: "tcp" }] },
    ],
    istio: [ingress(), egress()],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  application.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Calls a port of the server from outside of the mesh. */
function call(port: number, http2 = false) {
  return world.outside.send(`http://${world.addressOf("server")}:${port}/`, { http2 });
}

describe("Sidecar IstioIngressListener", () => {
  test("defaultEndpoint 127.0.0.1 is the workload's loopback", async () => {
    const { status, seen } = await call(7080);
    // No Pod has that address, so the server does not know itself there.
    expect({ status, pod: seen?.pod }).toEqual({ status: 200, pod: "unknown" });
  });

  test("defaultEndpoint 0.0.0.0 is the instance's address", async () => {
    expect((await call(7081)).seen?.pod).toBe("server");
  });

  test("defaultEndpoint unix:// is a socket", async () => {
    expect((await call(7082)).text).toBe("by socket");
  });

  test("without defaultEndpoint the port itself is called", async () => {
    expect((await call(8081, true)).seen?.pod).toBe("server");
    expect(await world.envoy("server").sumOf(/^cluster\.inbound\|8081\|\|.*upstream_rq_total$/)).toBe(1);
  });

  test("captureMode NONE listens on a port of the workload's own", async () => {
    const { status } = await world.caller("server").send("http://127.0.0.1:7083/");
    expect(status).toBe(200);
    expect(await world.envoy("server").sumOf(/^cluster\.inbound\|7083\|\|.*upstream_rq_total$/)).toBe(1);
  });

  test("with captureMode NONE, defaultEndpoint 0.0.0.0 is the address that was called", async () => {
    const to = async (host: string) => (await world.caller("server").send(`http://${host}:7084/`)).seen?.pod;
    expect(await to(world.addressOf("server"))).toBe("server");
    expect(await to("127.0.0.1")).toBe("unknown");
    expect(await greeting("server", world.addressOf("server"), 7085)).toBe("server\n");
  });

  test("tls ends in the proxy", async () => {
    const socket = await world.outside.connect(world.addressOf("server"), 7443);
    const secure = connectTls({ socket, ca: authority.certificate, servername: "server.test" });
    const [greeting] = (await once(secure, "data")) as [Buffer];
    expect(String(greeting)).toBe("unknown\n");
    secure.destroy();
  });

  test("TLS without tls settings is passed on", async () => {
    const socket = await world.outside.connect(world.addressOf("server"), 7444);
    const [greeting] = (await once(socket, "data")) as [Buffer];
    expect(String(greeting)).toBe("unknown\n");
    socket.destroy();
  });

  test("a port that a service names and no listener does is only passed on", async () => {
    expect((await call(8080)).seen?.pod).toBe("server");
    expect(await world.envoy("server").sumOf(/^cluster\.inbound\|8080\|/)).toBe(0);
  });
});

describe("Sidecar inboundConnectionPool", () => {
  /** How many requests of a port may wait, as Envoy has it. */
  const pending = async (port: number): Promise<readonly string[]> => {
    const limit = new RegExp(`^inbound\\|${port}\\|.*::default_priority::max_pending_requests::(\\d+)$`, "gm");
    const text = await world.envoy("server").admin("GET", "/clusters");
    return [...text.matchAll(limit)].map(([, count = ""]) => count);
  };

  test("limits every port", async () => {
    expect(await pending(7080)).toEqual(["9"]);
  });

  test("connectionPool of a listener goes first", async () => {
    expect(await pending(7081)).toEqual(["5"]);
  });
});

describe("Sidecar IstioEgressListener", () => {
  const send = (from: string, url: string, host?: string) =>
    world.caller(from).send(`http://${url}`, host === undefined ? {} : { host });

  test("hosts of a port are those of its listener", async () => {
    expect((await send("caller", "first:9080/")).seen?.pod).toBe("first-v1-0");
    expect((await send("caller", "second:9080/")).status).toBe(502);
  });

  test("hosts with ~ before them are taken out again", async () => {
    expect((await send("bound", "127.0.0.1:9080/", "second")).seen?.pod).toBe("second-v1-0");
    expect((await send("bound", "127.0.0.1:9080/", "first")).status).toBe(502);
  });

  test("the listener without a port is for all other ports", async () => {
    expect((await send("caller", "second:9081/")).seen?.pod).toBe("second-v1-0");
  });

  test("a listener follows the VirtualServices that it lets in", async () => {
    expect((await send("caller", "first:9082/")).text).toBe("by-rule");
  });

  test("bind is the address that callers use in place of the service's", async () => {
    const { seen } = await send("caller", "10.99.0.1:9083/");
    expect(seen?.pod).toBe("first-v1-0");
  });

  test("captureMode NONE listens on a port of the workload's own", async () => {
    expect(await greeting("caller", "127.0.0.1", 9000)).toBe("bytes-v1-0\n");
    expect((await send("caller", "127.0.0.1:7090/", "local")).seen?.pod).toBe("local-v1-0");
  });

  test("captureMode NONE without a port listens on those of the services", async () => {
    expect((await send("bound", "127.0.0.1:9081/", "second")).seen?.pod).toBe("second-v1-0");
    expect(await greeting("bound", "127.0.0.1", 9000)).toBe("bytes-v1-0\n");
  });
});

/** All that a peer answers to a request, until it closes. */
async function exchange(socket: Socket, request: string): Promise<string> {
  socket.write(request);
  let text = "";
  for await (const chunk of socket) text += String(chunk);
  return text;
}

describe("Sidecar IstioEgressListener of protocol HTTP_PROXY", () => {
  const ask = async (line: string) => {
    const socket = await world.caller("caller").connect("127.0.0.1", 7777);
    const authority = /([\w.]+:\d+)/.exec(line)?.[1] ?? "";
    return exchange(socket, `${line} HTTP/1.1\r\nHost: ${authority}\r\nConnection: close\r\n\r\n`);
  };

  test("requests in absolute form go to the host and port that they name", async () => {
    expect(await ask("GET http://first.shop.svc.cluster.local:9080/")).toContain('"pod":"first-v1-0"');
    expect(await ask("GET http://second:9081/")).toContain('"pod":"second-v1-0"');
  });

  test("hosts and ports that its hosts do not have are refused", async () => {
    expect(await ask("GET http://first:9999/")).toMatch(/^HTTP\/1\.1 502 /);
    expect(await ask("GET http://example.com:80/")).toMatch(/^HTTP\/1\.1 502 /);
  });

  test("CONNECT is not offered, as in Istio", async () => {
    expect(await ask("CONNECT first.shop.svc.cluster.local:9080")).toMatch(/^HTTP\/1\.1 40[34] /);
  });
});

describe("Sidecar IstioEgressListener on a Unix socket", () => {
  const connected = async (name: string): Promise<Socket> => {
    const socket = connect({ path: join(folder, name), allowHalfOpen: true });
    await once(socket, "connect");
    return socket;
  };

  test("HTTP goes to the host and port that it names", async () => {
    const request = (host: string) => `GET / HTTP/1.1\r\nHost: ${host}\r\nConnection: close\r\n\r\n`;
    expect(await exchange(await connected("http.sock"), request("first:9080"))).toContain('"pod":"first-v1-0"');
    expect(await exchange(await connected("http.sock"), request("second:9080"))).toMatch(/^HTTP\/1\.1 502 /);
  });

  test("bytes go to the only port of the service", async () => {
    const socket = await connected("bytes.sock");
    const [bytes] = (await once(socket, "data")) as [Buffer];
    expect(String(bytes)).toBe("bytes-v1-0\n");
    socket.destroy();
  });
});

describe("sidecar.istio.io/interceptionMode NONE", () => {
  test("services are called on the workload's loopback", async () => {
    const { seen } = await world.caller("alone").send("http://127.0.0.1:9081/", { host: "second" });
    expect(seen?.pod).toBe("second-v1-0");
    expect(await greeting("alone", "127.0.0.1", 9000)).toBe("bytes-v1-0\n");
  });

  test("the ports of the Sidecar are listened on, and no others", async () => {
    const url = `http://${world.addressOf("alone")}:7080/`;
    expect((await world.outside.send(url)).text).toBe("by socket");
    const listeners = await world.envoy("alone").admin("GET", "/listeners");
    expect(listeners).not.toMatch(/virtual(In|Out)bound/);
  });
});

describe("OutboundTrafficPolicy egressProxy", () => {
  test("takes what no service claims", async () => {
    const { seen } = await world.caller("server").send(`http://${strangerAddress}:8080/`);
    expect(seen?.pod).toBe("second-v1-0");
  });
});

describe("Sidecar workloadSelector", () => {
  test("leaves other workloads as they are", async () => {
    const { seen } = await world.caller("server").send("http://second:9080/");
    expect(seen?.pod).toBe("second-v1-0");
  });
});

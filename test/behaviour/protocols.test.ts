/**
 * Protocols from sidecar to sidecar and from gateway to sidecar. What ports mean is Istio's page "Protocol Selection"; what
 * needs a flag of Istio's control plane is a member of the `Mesh` here.
 */
import { once } from "node:events";
import { connect as connectHttp2, createServer as createHttp2, type ServerHttp2Stream } from "node:http2";
import type { Socket } from "node:net";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import { greeting } from "./greeting.ts";
import { World } from "./world.ts";

let world: World;

/** Streams of gRPC: each message is sent back at once, and the status follows when the caller has ended. */
const streams = createHttp2();
streams.on("stream", (stream: ServerHttp2Stream) => {
  stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
  stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": "0", "x-trailer": "kept" }));
  stream.pipe(stream);
});

/** What a Redis server says to commands as Envoy sends them, each a list of texts; its name to GET. */
function serveRedis(socket: Socket, pod: string): void {
  socket.on("data", (bytes: Buffer) => {
    for (const [command] of String(bytes).matchAll(/\*\d+\r\n(?:\$\d+\r\n[^\r]*\r\n)+/g)) {
      socket.write(/\bget\b/i.test(command) ? `$${pod.length}\r\n${pod}\r\n` : "+OK\r\n");
    }
  });
}

function serveRaw(socket: Socket, pod: string): void {
  if (pod.startsWith("streams")) streams.emit("connection", socket);
  else if (pod.startsWith("cache")) serveRedis(socket, pod);
  else socket.pipe(socket);
}

const edge = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { istio: ingress }
  servers:
    - { port: { number: 8080, name: http, protocol: HTTP }, hosts: ["*"] }
    - { port: { number: 8081, name: grpc-web, protocol: GRPC-Web }, hosts: ["*"] }
    - { port: { number: 8082, name: grpc, protocol: gRPC }, hosts: ["*"] }
    - { port: { number: 8083, name: http2, protocol: HTTP2 }, hosts: ["*"] }
    - { port: { number: 8084, name: mongo, protocol: MONGO }, hosts: ["*"] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: edge }
spec:
  hosts: ["*"]
  gateways: [edge/edge]
  http:
    - { match: [{ port: 8080 }], route: [{ destination: { host: server, port: { number: 9080 } } }] }
    - { route: [{ destination: { host: server, port: { number: 9082 } } }] }
  tcp: [{ match: [{ port: 8084 }], route: [{ destination: { host: db } }] }]`;

const retries = `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: flaky }
spec:
  hosts: [flaky]
  http: [{ retries: { attempts: 2, retryOn: unavailable }, route: [{ destination: { host: flaky } }] }]`;

beforeAll(async () => {
  world = await World.start("p", {
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      { name: "server", labels: { app: "server" }, serves: true },
      { name: "edge", type: "router", namespace: "edge", labels: { istio: "ingress" } },
    ],
    services: [
      {
        name: "server",
        servedBy: ["server"],
        ports: [
          { name: "http", port: 9080, to: "http" },
          { name: "grpc-web", port: 9082, to: "h2c" },
          { name: "tcp", port: 9084, to: "tcp" },
          { name: "raw", port: 9085, to: "raw" },
        ],
      },
      {
        name: "sniffed",
        ports: [
          { name: "web", port: 9101, to: "http" },
          { name: "api", port: 9102, to: "h2c" },
          { name: "secret", port: 9103, to: "tls" },
          { name: "quiet", port: 9104, to: "raw" },
          { name: "loud", port: 9105, to: "tcp" },
          { name: "mail", port: 25, to: "tcp" },
        ],
      },
      { name: "flaky", ports: [{ name: "grpc", port: 9080, to: "h2c" }] },
      { name: "streams", ports: [{ name: "grpc", port: 9106, to: "raw" }] },
      { name: "db", ports: [{ name: "mongo", port: 27_017, to: "raw" }] },
      { name: "cache", pods: { v1: 2 }, ports: [{ name: "redis", port: 6379, to: "raw" }] },
      { name: "ledger", ports: [{ name: "mysql", port: 3307, to: "tcp" }] },
    ],
    istio: [edge, retries],
  });
  world.backends.raw = serveRaw;
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

const send = (url: string, call = {}) => world.caller("caller").send(`http://${url}`, call);

/** All that a peer answers to a text, until it closes or until enough of it has come. */
async function answer(socket: Socket, text: string, enough = /$^/): Promise<string> {
  let got = "";
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  socket.setEncoding("latin1").on("data", (chunk: string) => {
    got += chunk;
    if (enough.test(got)) resolve(got);
  });
  socket.once("close", () => resolve(got)).once("error", reject);
  socket.write(text, "latin1");
  const all = await promise;
  socket.destroy();
  return all;
}

const fromCaller = (host: string, port: number) => world.caller("caller").connect(host, port);
const fromOutside = (name: string, port: number) => world.outside.connect(world.addressOf(name), port);

/** A message of gRPC: not compressed, of three bytes. */
const message = "\u0000\u0000\u0000\u0000\u0003abc";
const grpc = { "content-type": "application/grpc", te: "trailers" };

describe("HTTP/1.0", () => {
  const request = "GET / HTTP/1.0\r\nHost: server\r\n\r\n";

  test("HTTP/1.0 gets 426 unless the mesh has it on", async () => {
    expect(await answer(await fromOutside("edge", 8080), request)).toMatch(/^HTTP\/1\.1 426 /);
    expect(await answer(await fromOutside("server", 8080), request)).toMatch(/^HTTP\/1\.1 426 /);
  });
});

describe("HTTP/1.1", () => {
  test("trailers are dropped, as Envoy does unless told", async () => {
    const headers = { trailer: "x-end", "transfer-encoding": "chunked" };
    using _behaviour = world.backends.behave("server", () => ({ headers, trailers: { "x-end": "1" } }));
    const request = "GET / HTTP/1.1\r\nHost: server\r\nConnection: close\r\n\r\n";
    const text = await answer(await fromCaller("server", 9080), request);
    expect(text).toMatch(/^HTTP\/1\.1 200 /);
    expect(text).toContain("\r\n0\r\n");
    expect(text).not.toContain("x-end: 1");
  });

  test("100 Continue is the server's to say", async () => {
    const head =
      "POST / HTTP/1.1\r\nHost: server\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n";
    const socket = await fromCaller("server", 9080);
    socket.write(head);
    const [first] = (await once(socket, "data")) as [Buffer];
    expect(String(first)).toMatch(/^HTTP\/1\.1 100 Continue\r\n/);
    expect(await answer(socket, "hi")).toContain('"body":"hi"');
  });

  test("Upgrade: h2c is not followed", async () => {
    const { status, seen } = await send("server:9080/", { headers: { connection: "upgrade", upgrade: "h2c" } });
    expect({ status, protocol: seen?.protocol, upgrade: seen?.headers["upgrade"] }).toEqual({
      status: 200,
      protocol: "1.1",
      upgrade: undefined,
    });
  });
});

describe("WebSocket", () => {
  const head = "GET /chat HTTP/1.1\r\nHost: server\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n";

  test("an upgraded connection carries bytes both ways, from sidecar to sidecar", async () => {
    const text = await answer(await fromCaller("server", 9080), head, /server\n/);
    expect(text).toMatch(/^HTTP\/1\.1 101 /);
  });

  test("and through a gateway", async () => {
    const socket = await fromOutside("edge", 8080);
    socket.write(head);
    expect(await answer(socket, "", /server\n/)).toMatch(/^HTTP\/1\.1 101 /);
  });

  test("bytes of both sides get through after the upgrade", async () => {
    const socket = await fromOutside("edge", 8080);
    socket.write(head);
    await eventually("the server has greeted", () => String(socket.read() ?? "").includes("server"));
    expect(await answer(socket, "ping", /ping/)).toContain("ping");
  });
});

describe("HTTP/2", () => {
  test("with prior knowledge, from sidecar to sidecar", async () => {
    const { status, seen } = await send("server:9082/", { http2: true });
    expect({ status, protocol: seen?.protocol, pod: seen?.pod }).toEqual({
      status: 200,
      protocol: "2.0",
      pod: "server",
    });
  });

  test("servers of protocol HTTP2 and GRPC take it, and HTTP/1.1 too", async () => {
    for (const port of [8082, 8083]) {
      const url = `http://${world.addressOf("edge")}:${port}/`;
      expect((await world.outside.send(url, { http2: true })).seen?.protocol).toBe("2.0");
      expect((await world.outside.send(url)).seen?.protocol).toBe("2.0");
    }
  });
});

describe("gRPC", () => {
  test("a call has its status in the trailers", async () => {
    using _behaviour = world.backends.behave("server", () => ({
      headers: { "content-type": "application/grpc" },
      trailers: { "grpc-status": "5", "grpc-message": "gone" },
    }));
    const call = { http2: true, method: "POST", headers: grpc, body: message };
    expect((await send("server:9082/a.B/C", call)).headers).toMatchObject({
      ":status": "200",
      "grpc-status": "5",
      "grpc-message": "gone",
    });
  });

  test("streams carry messages both ways before they end", async () => {
    const socket = await fromCaller("streams", 9106);
    const session = connectHttp2("http://streams:9106", { createConnection: () => socket });
    const stream = session.request({ ":method": "POST", ":path": "/a.B/C", ...grpc });
    const trailers = once(stream, "trailers") as Promise<[Record<string, string>]>;
    for (const part of ["one", "two"]) {
      stream.write(part);
      expect(String(((await once(stream, "data")) as [Buffer])[0])).toBe(part);
    }
    stream.end();
    expect((await trailers)[0]).toMatchObject({ "grpc-status": "0", "x-trailer": "kept" });
    session.destroy();
  });

  test("retryOn takes statuses of gRPC", async () => {
    let calls = 0;
    using _behaviour = world.backends.behave("flaky", () => {
      calls += 1;
      return { headers: { "content-type": "application/grpc", "grpc-status": calls < 3 ? "14" : "0" } };
    });
    const call = { http2: true, method: "POST", headers: grpc, body: message };
    expect((await send("flaky:9080/a.B/C", call)).headers["grpc-status"]).toBe("0");
    expect(calls).toBe(3);
  });
});

describe("gRPC-Web", () => {
  const call = { method: "POST", headers: { "content-type": "application/grpc-web+proto" }, body: message };

  /** Whether the server saw gRPC, and the caller the trailers in the body, in a frame of their own. */
  async function translated(sent: Promise<{ readonly text: string }>) {
    using _behaviour = world.backends.behave("server", () => ({
      headers: { "content-type": "application/grpc" },
      trailers: { "grpc-status": "0" },
    }));
    const before = world.backends.seen.length;
    const { text } = await sent;
    return { seen: world.backends.seen[before]?.headers["content-type"], status: /grpc-status:\s*0/.test(text) };
  }

  test("a port named grpc-web takes it from the workload", async () => {
    expect(await translated(send("server:9082/a.B/C", call))).toEqual({ seen: "application/grpc", status: true });
  });

  test("and from callers without a proxy", async () => {
    const sent = world.outside.send(`http://${world.addressOf("server")}:8081/a.B/C`, call);
    expect(await translated(sent)).toEqual({ seen: "application/grpc", status: true });
  });

  test("a server of protocol GRPC-Web takes it from browsers", async () => {
    const sent = world.outside.send(`http://${world.addressOf("edge")}:8081/a.B/C`, call);
    expect(await translated(sent)).toEqual({ seen: "application/grpc", status: true });
  });
});

describe("TCP", () => {
  test("large transfers and a half-closed connection get through", async () => {
    const socket = await fromCaller("server", 9084);
    const sent = Buffer.alloc(8_000_000, "0123456789abcdef");
    const got: Buffer[] = [];
    socket.on("data", (chunk: Buffer) => got.push(chunk));
    // The caller has said all; what it is told in return still comes.
    socket.end(sent);
    await once(socket, "end");
    expect(Buffer.concat(got).equals(Buffer.concat([Buffer.from("server\n"), sent]))).toBe(true);
  });
});

describe("ports without a protocol", () => {
  test("HTTP/1.1 is recognised", async () => {
    const { seen, headers } = await send("sniffed:9101/");
    expect({ protocol: seen?.protocol, server: headers["server"] }).toEqual({ protocol: "1.1", server: "envoy" });
  });

  test("HTTP/2 is recognised", async () => {
    const { seen, headers } = await send("sniffed:9102/", { http2: true });
    expect({ protocol: seen?.protocol, server: headers["server"] }).toEqual({ protocol: "2.0", server: "envoy" });
  });

  test("TLS and other bytes are passed on", async () => {
    const secure = connectTls({ socket: await fromCaller("sniffed", 9103), rejectUnauthorized: false });
    expect(await greeting(secure)).toBe("sniffed-v1-0");
    expect(await answer(await fromCaller("sniffed", 9104), "\u0001hello", /hello/)).toBe("\u0001hello");
  });
});

describe("servers that talk first", () => {
  test("on a sniffed port they wait for the caller, as in Istio", async () => {
    const waiting = /^listener\.10\.110\.0\.\d+_9105\.downstream_pre_cx_active$/;
    const socket = await fromCaller("sniffed", 9105);
    const caller = world.envoy("caller");
    await eventually("the proxy waits for bytes", async () => (await caller.sumOf(waiting)) === 1);
    expect(await answer(socket, "{x}", /\{x\}/)).toContain("sniffed-v1-0");
  });

  test("on well-known ports and on those named for a protocol they do not wait", async () => {
    expect(await greeting(await fromCaller("sniffed", 25))).toBe("sniffed-v1-0");
    expect(await greeting(await fromCaller("server", 9084))).toBe("server");
  });

  test("with protocolDetectionTimeout they wait so long", async () => {
    world.setMesh({ protocolDetectionTimeout: "0.05s" });
    await eventually("the server greets", async () => {
      const socket = await fromCaller("sniffed", 9105);
      setTimeout(() => socket.destroy(), 1000).unref();
      return (await greeting(socket)) === "sniffed-v1-0";
    });
  });
});

/** A command of MongoDB's protocol: OP_QUERY of the collection `shop.$cmd` with the document `{ delete: 1 }`. */
function mongoDelete(): string {
  const words = (...values: readonly number[]): Buffer => Buffer.from(new Int32Array(values).buffer);
  const query = Buffer.concat([
    words(0),
    Buffer.from("shop.$cmd\0"),
    words(0, -1),
    words(17),
    Buffer.from("\u0010delete\0"),
    words(1),
    Buffer.from([0]),
  ]);
  const opQuery = 2004;
  return Buffer.concat([words(16 + query.length, 1, 0, opQuery), query]).toString("latin1");
}

describe("MongoDB", () => {
  const commands = /^mongo\.outbound\|27017\|\|db\.shop\.svc\.cluster\.local\.cmd\.delete\.total$/;

  test("commands on ports named mongo are counted, and pass as they are", async () => {
    expect(await answer(await fromCaller("db", 27_017), mongoDelete(), /delete/)).toBe(mongoDelete());
    expect(await world.envoy("caller").sumOf(commands)).toBeGreaterThan(0);
  });

  test("a server of protocol MONGO counts them too", async () => {
    expect(await answer(await fromOutside("edge", 8084), mongoDelete(), /delete/)).toBe(mongoDelete());
    expect(await world.envoy("edge").sumOf(commands)).toBeGreaterThan(0);
  });
});

describe("MySQL", () => {
  test("ports named mysql are TCP, whose servers talk first", async () => {
    expect(await greeting(await fromCaller("ledger", 3307))).toBe("ledger-v1-0");
  });
});

/** Commands of Redis, and how often the proxy has understood the second. */
const redis = {
  set: "*3\r\n$3\r\nset\r\n$1\r\na\r\n$1\r\n1\r\n",
  get: "*2\r\n$3\r\nget\r\n$1\r\na\r\n",
  understood: () =>
    world.envoy("caller").sumOf(/^redis\.outbound\|6379\|\|cache\.shop\.svc\.cluster\.local\.command\.get\.total$/),
};

describe("Redis", () => {
  test("ports named redis are TCP unless the mesh has Redis on", async () => {
    expect(await answer(await fromCaller("cache", 6379), redis.get, /cache/)).toMatch(/^\$\d+\r\ncache-v1-\d\r\n$/);
    expect(await redis.understood()).toBe(0);
  });
});

describe("what the mesh turns on", () => {
  beforeAll(() => world.setMesh({ proxyHttpPort: 15_080, protocols: { http10: true, mongo: false, redis: true } }));

  test("proxyHttpPort makes sidecars an HTTP proxy", async () => {
    const request = "GET http://server.shop:9080/a HTTP/1.1\r\nHost: server.shop:9080\r\nConnection: close\r\n\r\n";
    await eventually("the proxy answers", async () => {
      const text = await answer(await fromCaller("127.0.0.1", 15_080), request);
      return text.startsWith("HTTP/1.1 200") && text.includes('"pod":"server"') && text.includes('"path":"/a"');
    });
  });

  test("HTTP/1.0 is answered", async () => {
    const request = "GET / HTTP/1.0\r\nHost: server\r\n\r\n";
    for (const [name, port] of [
      ["edge", 8080],
      ["server", 8080],
    ] as const) {
      await eventually(`${name} answers`, async () => {
        const text = await answer(await fromOutside(name, port), request);
        return text.startsWith("HTTP/1.0 200") && text.includes('"pod":"server"');
      });
    }
  });

  test("commands on ports named redis go to the service's servers one by one", async () => {
    await eventually("commands are understood", async () => {
      const text = await answer(await fromCaller("cache", 6379), redis.set + redis.get, /cache/);
      expect(text).toMatch(/^\+OK\r\n\$\d+\r\ncache-v1-\d\r\n$/);
      return (await redis.understood()) > 0;
    });
  });

  test("commands of MongoDB are not counted any more", async () => {
    await eventually("no filter of MongoDB is left", async () => {
      const dump = await world.envoy("caller").admin("GET", "/config_dump?resource=dynamic_listeners");
      return !dump.includes("mongo_proxy");
    });
    expect(await answer(await fromCaller("db", 27_017), mongoDelete(), /delete/)).toBe(mongoDelete());
  });
});

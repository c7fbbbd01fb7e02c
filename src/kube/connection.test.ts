import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer as createHttpServer, type ServerResponse } from "node:http";
import { createServer } from "node:net";
import type { AddressInfo, Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { once } from "node:events";
import type { TLSSocket } from "node:tls";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { Connection } from "./connection.ts";
import type { ServerAddress } from "./connection.ts";
import { answer, testServer } from "./testing/http.ts";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-connection-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const connect = (address: ServerAddress, options = {}): Connection =>
  new Connection(address, { clock: systemClock, ...options });

const get = { method: "GET", path: "/x" } as const;

function openssl(...args: readonly string[]): void {
  execFileSync("openssl", args, { cwd: folder, stdio: "pipe" });
}

/** An authority, a server's certificate for 127.0.0.1 and a client's, as files in the folder. */
function makeCertificates(): void {
  const newKey = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  openssl("req", "-x509", ...newKey, "-keyout", "ca.key", "-out", "ca.pem", "-days", "2", "-subj", "/CN=test-ca");
  writeFileSync(join(folder, "san"), "subjectAltName=IP:127.0.0.1");
  for (const [name, extra] of [
    ["server", ["-extfile", "san"]],
    ["client", []],
  ] as const) {
    openssl("req", ...newKey, "-keyout", `${name}.key`, "-out", `${name}.csr`, "-subj", `/CN=${name}`);
    openssl(
      "x509",
      "-req",
      "-in",
      `${name}.csr`,
      "-CA",
      "ca.pem",
      "-CAkey",
      "ca.key",
      "-CAcreateserial",
      "-out",
      `${name}.pem`,
      "-days",
      "2",
      ...extra,
    );
  }
}

const pem = (name: string): string => readFileSync(join(folder, name), "utf8");

describe("over TLS", () => {
  beforeAll(makeCertificates);

  test("a trusted server sees the client's certificate", async () => {
    const tls = {
      key: pem("server.key"),
      cert: pem("server.pem"),
      ca: pem("ca.pem"),
      requestCert: true,
      rejectUnauthorized: true,
    };
    await using server = await testServer(
      (_, response) => {
        answer(response, 200, { client: (response.socket as TLSSocket).getPeerCertificate().subject.CN });
      },
      { tls },
    );
    using connection = connect({
      url: server.url,
      ca: pem("ca.pem"),
      certificate: pem("client.pem"),
      key: pem("client.key"),
    });
    expect(JSON.parse((await connection.send(get)).body.toString())).toEqual({ client: "client" });
    using stranger = connect({ url: server.url, ca: pem("ca.pem") });
    await expect(stranger.send(get)).rejects.toMatchObject({ code: "Unavailable" });
  });

  test("a server of another authority is refused, unless that is allowed", async () => {
    await using server = await testServer((_, response) => answer(response, 200, {}), {
      tls: { key: pem("server.key"), cert: pem("server.pem") },
    });
    using connection = connect({ url: server.url });
    await expect(connection.send(get)).rejects.toThrow(/unable to verify|self-signed/);
    using lax = connect({ url: server.url, insecure: true });
    expect((await lax.send(get)).status).toBe(200);
  });
});

test("over a Unix socket, with a token that is renewed in its file", async () => {
  const path = join(folder, "api.sock");
  await using server = await testServer((_, response) => answer(response, 200, {}), { path });
  const tokenFile = join(folder, "token");
  using connection = connect({ url: `unix://${path}`, tokenFile });
  for (const token of ["first", "second"]) {
    writeFileSync(tokenFile, `${token}\n`);
    await connection.send(get);
  }
  expect(server.requests.map(({ headers }) => headers.authorization)).toEqual(["Bearer first", "Bearer second"]);
});

test("a URL's own path goes before the request's, and the query is encoded", async () => {
  await using server = await testServer((_, response) => answer(response, 200, {}));
  using connection = connect({ url: `${server.url}/clusters/a/`, token: "t" });
  await connection.send({ ...get, query: { labelSelector: "app in (a,b)", limit: 5, none: undefined, watch: false } });
  const [seen] = server.requests;
  expect(seen?.url.pathname).toBe("/clusters/a/x");
  expect(Object.fromEntries(seen?.url.searchParams ?? [])).toEqual({
    labelSelector: "app in (a,b)",
    limit: "5",
    watch: "false",
  });
  expect(seen?.headers).toMatchObject({ authorization: "Bearer t", "user-agent": "weft", accept: "application/json" });
});

test.each(["nonsense", "ftp://127.0.0.1"])("the URL %s is refused", (url) => {
  expect(() => connect({ url })).toThrow(expect.objectContaining({ code: "InvalidArgument" }));
});

describe("bounds", () => {
  test("an answer that does not come in time", async () => {
    await using server = await testServer(() => undefined);
    using connection = connect({ url: server.url });
    await expect(connection.send({ ...get, timeoutMs: 50 })).rejects.toMatchObject({ code: "DeadlineExceeded" });
    await expect(connection.open({ ...get, timeoutMs: 50 })).rejects.toMatchObject({ code: "DeadlineExceeded" });
  });

  test("an answer that is too large", async () => {
    await using server = await testServer((_, response) => answer(response, 200, "x".repeat(5000)));
    using connection = connect({ url: server.url }, { maxResponseBytes: 1000 });
    await expect(connection.send(get)).rejects.toMatchObject({ code: "ResourceExhausted" });
  });

  test("no more requests at once than allowed; streams do not count", async () => {
    let now = 0;
    let most = 0;
    await using server = await testServer(({ url }, response) => {
      if (url.pathname === "/stream") {
        response.flushHeaders();
        return;
      }
      now += 1;
      most = Math.max(most, now);
      setTimeout(() => {
        now -= 1;
        answer(response, 200, {});
      }, 5);
    });
    using connection = connect({ url: server.url }, { maxRequests: 3 });
    const stop = new AbortController();
    await Promise.all(
      Array.from({ length: 5 }, async () => connection.open({ method: "GET", path: "/stream", signal: stop.signal })),
    );
    await Promise.all(Array.from({ length: 12 }, async () => connection.send(get)));
    expect(most).toBe(3);
    stop.abort();
  });

  test("an abort cancels a request and ends a stream", async () => {
    await using server = await testServer((_, response) => response.write("{"));
    using connection = connect({ url: server.url });
    const stop = new AbortController();
    const { chunks } = await connection.open({ ...get, signal: stop.signal });
    const sent = connection.send({ ...get, signal: stop.signal });
    setTimeout(() => stop.abort(), 20);
    await expect(sent).rejects.toMatchObject({ code: "Cancelled" });
    await expect(Array.fromAsync(chunks)).rejects.toMatchObject({ code: "Cancelled" });
  });
});

test("nobody listens", async () => {
  using connection = connect({ url: `unix://${join(folder, "none.sock")}` });
  await expect(connection.send(get)).rejects.toMatchObject({
    code: "Unavailable",
    message: expect.stringMatching(/GET \/x .*ENOENT/) as string,
  });
});

/** Answers the first request of each connection and resets it at the second. @param headers of its answers, whole lines. */
async function resettingServer(headers = ""): Promise<{ url: string; connections: () => number } & Disposable> {
  let connections = 0;
  const sockets = new Set<Socket>();
  const server = createServer((socket) => {
    connections += 1;
    sockets.add(socket);
    let requests = 0;
    socket.on("error", () => undefined);
    socket.on("data", () => {
      requests += 1;
      if (requests > 1) socket.resetAndDestroy();
      else socket.write(`HTTP/1.1 200 OK\r\n${headers}content-length: 2\r\n\r\n{}`);
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  const close = (): void => {
    for (const socket of sockets) socket.destroy();
    server.close();
  };
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return { url, connections: () => connections, [Symbol.dispose]: close };
}

describe("an idle connection that the server closed as it was used again", () => {
  /** Sends a POST on one of several connections that were idle when the server closed them all. */
  async function sentAfterClosing(idle: number): Promise<readonly string[]> {
    const path = join(folder, `closing-${idle}.sock`);
    const seen: string[] = [];
    const server = createHttpServer((request, response) => {
      seen.push(request.method ?? "");
      // Those that came together stay together, each on a connection of its own.
      if (request.method === "POST" || seen.length >= idle) for (const each of [...held, response]) each.end("{}");
      else held.push(response);
    });
    const held: ServerResponse[] = [];
    await once(server.listen(path), "listening");
    using connection = connect({ url: `unix://${path}` });
    await Promise.all(Array.from({ length: idle }, async () => connection.send(get)));
    server.closeAllConnections();
    // The client has not heard of it yet.
    expect((await connection.send({ method: "POST", path: "/x", body: {} })).status).toBe(200);
    server.close();
    server.closeAllConnections();
    return seen;
  }

  test("what could not be written is repeated, also a write", async () => {
    expect(await sentAfterClosing(1)).toEqual(["GET", "POST"]);
  });

  test("others that it closed together are not tried one after the other", async () => {
    expect(await sentAfterClosing(4)).toEqual(["GET", "GET", "GET", "GET", "POST"]);
  });

  test("a read is repeated once on a new connection, a write is not", async () => {
    using server = await resettingServer();
    using connection = connect({ url: server.url });
    await connection.send(get);
    expect((await connection.send(get)).status).toBe(200);
    expect(server.connections()).toBe(2);
    await expect(connection.send({ method: "POST", path: "/x", body: {} })).rejects.toMatchObject({
      code: "Unavailable",
    });
    expect(server.connections()).toBe(2);
  });
});

describe("a connection that the server is about to close is not used", () => {
  const write = { method: "POST", path: "/x", body: {} } as const;

  test.each([
    // What Node's servers say, and others with what they add to it.
    ["keep-alive: timeout=5\r\n", 2_500],
    ["Keep-Alive: max=100, timeout=5\r\n", 2_500],
    ["keep-alive: timeout=3\r\n", 1_500],
    ["keep-alive: timeout=0\r\n", 0],
    ["keep-alive: timeout=3600\r\n", 15_000],
    ["", 15_000],
  ])("after %j it is used for less than %d ms", async (headers, ms) => {
    const clock = new ManualClock();
    using server = await resettingServer(headers);
    using connection = connect({ url: server.url }, { clock });
    await connection.send(write);
    clock.advance(ms);
    expect((await connection.send(write)).status).toBe(200);
    expect(server.connections()).toBe(2);
    if (ms === 0) return;
    clock.advance(ms - 1);
    // It is used again, where the server resets it.
    await expect(connection.send(write)).rejects.toMatchObject({ code: "Unavailable" });
    expect(server.connections()).toBe(2);
  });

  test("time counts from the beginning of the request before, however late its answer is read", async () => {
    const clock = new ManualClock();
    await using server = await testServer((_, response) => {
      clock.advance(2_500);
      response.setHeader("x-connection", response.socket?.remotePort ?? 0);
      answer(response, 200, {});
    });
    using connection = connect({ url: server.url }, { clock });
    const first = await connection.send(write);
    const second = await connection.send(write);
    expect(second.headers["x-connection"]).not.toBe(first.headers["x-connection"]);
  });

  test("one that is not used again is closed before the server would close it", async () => {
    let open = 0;
    // It says two seconds, and means an hour.
    await using server = await testServer(
      (_, response) => {
        open += 1;
        response.socket?.once("close", () => (open -= 1));
        response.setHeader("keep-alive", "timeout=2");
        response.setHeader("connection", "keep-alive");
        answer(response, 200, {});
      },
      { keepAliveTimeout: 3_600_000 },
    );
    using connection = connect({ url: server.url });
    await connection.send(get);
    expect(open).toBe(1);
    await expect.poll(() => open, { timeout: 60_000 }).toBe(0);
  });
});

describe("a server that is too busy", () => {
  /** Answers as the statuses say, one after the other. */
  async function busyServer(statuses: readonly number[], retryAfter?: string) {
    const left = [...statuses];
    return testServer((_, response) => {
      if (retryAfter !== undefined) response.setHeader("retry-after", retryAfter);
      answer(response, left.shift() ?? 200, {});
    });
  }

  test("is asked again when it says, for writes and for streams too", async () => {
    for (const status of [429, 503]) {
      await using server = await busyServer([status, status], "0");
      using connection = connect({ url: server.url });
      expect((await connection.send({ method: "POST", path: "/x", body: { a: 1 } })).status).toBe(200);
      expect(server.requests.map(({ body }) => body)).toEqual([{ a: 1 }, { a: 1 }, { a: 1 }]);
    }
    await using server = await busyServer([429], "1");
    using connection = connect({ url: server.url });
    const from = performance.now();
    expect((await connection.open(get)).status).toBe(200);
    expect(performance.now() - from).toBeGreaterThan(990);
  });

  test("has the last word when it never takes the request, says no time, or a later one than there is", async () => {
    for (const [retryAfter, timeoutMs, times] of [
      ["0", 30_000, 10],
      [undefined, 30_000, 1],
      ["soon", 30_000, 1],
      ["60", 30_000, 1],
      ["1", 500, 1],
    ] as const) {
      await using server = await busyServer(
        Array.from({ length: 20 }, () => 429),
        retryAfter,
      );
      using connection = connect({ url: server.url });
      expect((await connection.send({ ...get, timeoutMs })).status).toBe(429);
      expect(server.requests).toHaveLength(times);
    }
  });
});

test("goes on with other credentials: what is in flight is answered, streams end, all that follows shows the new ones", async () => {
  const held = Promise.withResolvers<ServerResponse>();
  await using server = await testServer(({ url }, response) => {
    if (url.pathname === "/slow") held.resolve(response);
    else if (url.pathname === "/stream") response.writeHead(200).write("begun");
    else answer(response, 200, {});
  });
  using connection = connect({ url: server.url, token: "old" });
  const slow = connection.send({ method: "GET", path: "/slow" });
  const { chunks } = await connection.open({ method: "GET", path: "/stream" });
  const response = await held.promise;
  expect(() => connection.renew({ url: "ftp://elsewhere" })).toThrow(/http, https or unix/);
  connection.renew({ url: server.url, token: "new" });
  await expect(Array.fromAsync(chunks)).rejects.toMatchObject({ code: "Unavailable" });
  answer(response, 200, { late: true });
  expect((await slow).status).toBe(200);
  expect((await connection.send(get)).status).toBe(200);
  expect(server.requests.map(({ headers }) => headers.authorization)).toEqual([
    "Bearer old",
    "Bearer old",
    "Bearer new",
  ]);
});

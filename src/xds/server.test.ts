import { fork } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, statSync } from "node:fs";
import type { OutgoingHttpHeaders } from "node:http2";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { typeUrls } from "#proto/encoded.ts";
import { createXdsServer, type XdsServer, type XdsServerOptions } from "./server.ts";
import { eventually } from "./testing/envoy.ts";
import { DeltaStream, RawStream } from "./testing/grpc-client.ts";
import { cluster, endpoints } from "./testing/resources.ts";
import { TableSource } from "./testing/table-source.ts";

let source: TableSource;
let server: XdsServer;
let folder: string;
let cleanup: AsyncDisposableStack;

async function serve(options: Partial<XdsServerOptions> = {}): Promise<XdsServer> {
  server = await createXdsServer({
    source,
    engine: source.engine,
    clock: systemClock,
    logger: silentLogger,
    listen: [{ socketPath: join(folder, "ads.sock") }],
    drainMs: 0,
    ...options,
  });
  cleanup.use(server);
  return server;
}

function connect(): DeltaStream {
  const [address] = server.addresses;
  if (!address) throw new Error("the server listens nowhere");
  return cleanup.use(new DeltaStream(address));
}

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "weft-xds-"));
  cleanup = new AsyncDisposableStack();
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  source = new TableSource();
  source.setScopes("all", { [typeUrls.cluster]: ["clusters"], [typeUrls.endpoints]: ["endpoints"] });
  source.set("clusters", cluster("one"));
});

afterEach(() => cleanup.disposeAsync());

const node = { id: "x", cluster: "test" };

describe("a stream that cannot be served ends with a status that says why", () => {
  const ended = (client: DeltaStream): Promise<NonNullable<DeltaStream["ended"]>> =>
    eventually("the stream ends", () => client.ended);

  test("no node", async () => {
    await serve();
    const client = connect();
    client.ask({ typeUrl: typeUrls.cluster });
    expect(await ended(client)).toEqual({
      code: status.INVALID_ARGUMENT,
      details: "the first request of a stream must hold the node",
    });
  });

  test("a node that the source does not take", async () => {
    source = new TableSource(() => {
      throw new WeftError("InvalidArgument", "the node's metadata lacks NAMESPACE");
    });
    await serve();
    const client = connect();
    client.ask({ node, typeUrl: typeUrls.cluster });
    expect(await ended(client)).toEqual({
      code: status.INVALID_ARGUMENT,
      details: "the node's metadata lacks NAMESPACE",
    });
    expect(server.figures().streams).toBe(0);
  });

  test("a fault of the source's own, whose details stay in the log", async () => {
    source = new TableSource(() => {
      throw new TypeError("secret detail");
    });
    await serve();
    const client = connect();
    client.ask({ node, typeUrl: typeUrls.cluster });
    expect(await ended(client)).toEqual({ code: status.INTERNAL, details: "internal error" });
  });

  test("bytes that are no request", async () => {
    await serve();
    const client = connect();
    client.stream.write(Buffer.from([0xff, 0xff, 0xff]));
    expect(await ended(client)).toMatchObject({ code: status.INVALID_ARGUMENT });
  });

  test("more names than one may ask for, at once or bit by bit", async () => {
    await serve({ limits: { namesPerType: 1000 } });
    const names = (from: number, count: number) => Array.from({ length: count }, (_, at) => `name-${from + at}`);
    const greedy = connect();
    greedy.ask({ node, typeUrl: typeUrls.endpoints, resourceNamesSubscribe: names(0, 1001) });
    expect(await ended(greedy)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    const patient = connect();
    for (let from = 0; from < 1200; from += 300) {
      patient.ask({ node, typeUrl: typeUrls.endpoints, resourceNamesSubscribe: names(from, 300) });
    }
    expect(await ended(patient)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    expect(server.figures()).toMatchObject({ streams: 0, scopes: 0, views: 0 });
  });

  test("a name that is too long, a request that is too large", async () => {
    await serve({ limits: { nameLength: 100, requestBytes: 10_000 } });
    const long = connect();
    long.ask({ node, typeUrl: typeUrls.endpoints, resourceNamesSubscribe: ["x".repeat(101)] });
    expect(await ended(long)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
    const large = connect();
    large.ask({ node, typeUrl: typeUrls.endpoints, resourceNamesSubscribe: ["x".repeat(10_000)] });
    expect(await ended(large)).toMatchObject({ code: status.RESOURCE_EXHAUSTED });
  });

  test("what its text holds reaches the client as it is", async () => {
    const why = "100% of Zoë's metadata is missing \u{1f63f}, line\nbreaks too";
    source = new TableSource(() => {
      throw new WeftError("InvalidArgument", why);
    });
    await serve();
    const client = connect();
    client.ask({ node, typeUrl: typeUrls.cluster });
    expect(await ended(client)).toEqual({ code: status.INVALID_ARGUMENT, details: why });
  });

  test("one whose peer goes on sending is closed", async () => {
    await serve();
    using raw = new RawStream(join(folder, "ads.sock"));
    raw.ask({ typeUrl: typeUrls.cluster });
    const [headers] = (await once(raw.stream, "response")) as [object];
    expect(headers).toMatchObject({ "grpc-status": String(status.INVALID_ARGUMENT) });
    await eventually("it is closed though it did not end", () => {
      raw.ask({ typeUrl: typeUrls.cluster });
      return raw.closed || undefined;
    });
  });

  test("a method that there is not, a request that is not gRPC, a message that is compressed", async () => {
    await serve();
    const answer = async (headers: OutgoingHttpHeaders, bytes: readonly number[] = []): Promise<object> => {
      using raw = new RawStream(join(folder, "ads.sock"), headers);
      raw.stream.write(Buffer.from(bytes));
      const [response] = (await once(raw.stream, "response")) as [object];
      return response;
    };
    const none = { ":path": "/envoy.service.discovery.v3.AggregatedDiscoveryService/Else" };
    const unimplemented = { ":status": 200, "grpc-status": String(status.UNIMPLEMENTED) };
    expect(await answer(none)).toMatchObject(unimplemented);
    expect(await answer({ "content-type": "application/json" })).toMatchObject({ ":status": 415 });
    const compressed = await answer({ "grpc-encoding": "gzip" }, [1, 0, 0, 0, 1, 0]);
    expect(compressed).toMatchObject({ ...unimplemented, "grpc-accept-encoding": "identity" });
  });
});

describe("protocol", () => {
  test("an answer to another stream's response changes nothing", async () => {
    await serve();
    const [mine, other] = [connect(), connect()];
    mine.ask({ node, typeUrl: typeUrls.cluster });
    const first = await eventually("a response", () => mine.responses[0]);
    other.ask({ node: { id: "other" }, typeUrl: typeUrls.endpoints, resourceNamesSubscribe: ["one"] });
    other.ask({ typeUrl: typeUrls.endpoints, responseNonce: first.nonce, errorDetail: { code: 13, message: "no" } });
    mine.ask({ typeUrl: typeUrls.cluster, responseNonce: "made-up", errorDetail: { code: 13, message: "no" } });
    await eventually("the other one's response", () => other.responses[0]);
    const asked = [typeUrls.cluster, typeUrls.endpoints] as const;
    expect(server.proxies().map(({ types }) => asked.map((type) => types[type]?.state))).toEqual([
      ["NEVER", "STALE"],
      ["STALE", "NEVER"],
    ]);
    mine.ask({ typeUrl: typeUrls.cluster, responseNonce: first.nonce });
    await eventually("it is in sync", () => {
      const proxy = server.proxies().find(({ node: { id } }) => id === "x");
      return proxy?.types[typeUrls.cluster]?.state === "SYNCED" || undefined;
    });
  });

  test("a name table comes as the one resource that is asked for as a whole", async () => {
    await serve();
    source.setScopes("all", { [typeUrls.nameTable]: ["names"] });
    const client = connect();
    client.ask({ node, typeUrl: typeUrls.nameTable });
    const empty = await eventually("an answer though there is none", () => client.responses[0]);
    expect(empty.resources).toEqual([]);
    client.ask({ typeUrl: typeUrls.nameTable, responseNonce: empty.nonce });
    source.set("names", { ...endpoints("table", [1]), typeUrl: typeUrls.nameTable });
    const full = await eventually("the table", () => client.responses[1]);
    expect(full.resources.map(({ name }) => name)).toEqual(["table"]);
  });

  test("secrets are never taken away, nor is it said that there are none", async () => {
    const secret = (version: number) => ({ ...endpoints("key", [version]), typeUrl: typeUrls.secret });
    source.setScopes("all", { [typeUrls.cluster]: ["clusters"], [typeUrls.secret]: ["secrets"] });
    source.set("secrets", secret(1));
    await serve();
    const client = connect();
    client.ask({ node, typeUrl: typeUrls.secret, resourceNamesSubscribe: ["key", "missing"] });
    const first = await eventually("the secret that there is", () => client.responses[0]);
    expect([first.resources.map(({ name }) => name), first.removedResources]).toEqual([["key"], []]);
    client.ask({ typeUrl: typeUrls.secret, responseNonce: first.nonce });
    source.delete("secrets", "key");
    // What is asked for later is answered next.
    client.ask({ typeUrl: typeUrls.cluster });
    await eventually("clusters come", () => client.responses.find(({ typeUrl }) => typeUrl === typeUrls.cluster));
    source.set("secrets", secret(2));
    const last = await eventually("it comes back", () => client.responses[2]);
    expect([last.typeUrl, last.resources.map(({ name }) => name)]).toEqual([typeUrls.secret, ["key"]]);
  });

  test("types that are not served are passed over", async () => {
    await serve();
    const client = connect();
    client.ask({ node, typeUrl: "type.googleapis.com/envoy.service.runtime.v3.Runtime" });
    client.ask({ typeUrl: typeUrls.cluster });
    await eventually("clusters come", () => client.responses[0]);
    expect(client.ended).toBeUndefined();
  });
});

describe("peers", () => {
  test("one that never reads delays nobody, holds one response, and is cut off in time", async () => {
    await serve({ limits: { stalledMs: 200, takeTimeoutMs: 1500 } });
    source.change(() => {
      for (let at = 0; at < 4000; at += 1) source.set("clusters", cluster(`${"long-".repeat(50)}${at}`));
    });
    using stalled = new RawStream(join(folder, "ads.sock"));
    stalled.ask({ node, typeUrl: typeUrls.cluster });
    const reading = connect();
    reading.ask({ node: { id: "other" }, typeUrl: typeUrls.cluster });
    const first = await eventually("the other one's response", () => reading.responses[0]);
    reading.ask({ typeUrl: typeUrls.cluster, responseNonce: first.nonce });
    const oneResponse = server.figures().bytesSent / 2;
    for (let turn = 1; turn <= 20; turn += 1) {
      source.set("clusters", cluster("one", 1000 + turn));
      const response = await eventually("each change reaches the one that reads", () => reading.responses[turn]);
      reading.ask({ typeUrl: typeUrls.cluster, responseNonce: response.nonce });
      expect(server.figures().bytesUnsent).toBeLessThan(1.1 * oneResponse);
    }
    await eventually("the stalled one is cut off", () => server.figures().streams === 1 || undefined);
    expect(server.figures().bytesUnsent).toBe(0);
    // Nothing of it is left in memory either: the stream under it is closed.
    await eventually("its stream is closed", () => stalled.closed || undefined);
    expect(reading.ended).toBeUndefined();
  });

  test("what many get stands in memory once, however long it waits for them", async () => {
    await serve();
    source.change(() => {
      for (let at = 0; at < 4000; at += 1) source.set("clusters", cluster(`${"long-".repeat(50)}${at}`));
    });
    const first = cleanup.use(new RawStream(join(folder, "ads.sock")));
    first.ask({ node, typeUrl: typeUrls.cluster });
    await eventually("it is sent", () => server.figures().messagesSent === 1 || undefined);
    const oneResponse = server.figures().bytesSent;
    const before = process.memoryUsage().arrayBuffers;
    for (let at = 0; at < 10; at += 1) {
      cleanup.use(new RawStream(join(folder, "ads.sock"))).ask({ node, typeUrl: typeUrls.cluster });
    }
    await eventually("all are sent", () => server.figures().messagesSent === 11 || undefined);
    expect(server.figures().bytesUnsent).toBe(11 * oneResponse);
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(3 * oneResponse);
  });

  test("one that is frozen is found out by its silence", async () => {
    await serve({ keepaliveMs: 200 });
    const child = fork(join(import.meta.dirname, "testing/frozen-child.ts"), [join(folder, "ads.sock")]);
    cleanup.defer(() => {
      child.kill("SIGKILL");
    });
    await once(child, "message");
    expect(server.proxies().map((proxy) => proxy.node.id)).toEqual(["frozen"]);
    child.kill("SIGSTOP");
    await eventually("the frozen one is gone", () => server.proxies().length === 0 || undefined);
    expect(server.figures()).toMatchObject({ streams: 0, views: 0 });
  });

  test("a drain ends streams in good order, spread over its time, and takes no new ones", async () => {
    await serve({ drainMs: 3000 });
    const clients = Array.from({ length: 8 }, () => connect());
    for (const client of clients) client.ask({ node, typeUrl: typeUrls.cluster });
    for (const client of clients) await eventually("a response", () => client.responses[0]);
    const ends: number[] = [];
    for (const client of clients) client.stream.on("status", () => ends.push(performance.now()));
    await server[Symbol.asyncDispose]();
    await eventually("all have ended", () => clients.every(({ ended }) => ended) || undefined);
    expect(clients.map(({ ended }) => ended?.code)).toEqual(clients.map(() => status.OK));
    expect(Math.max(...ends) - Math.min(...ends)).toBeGreaterThan(1000);
    const late = connect();
    late.ask({ node, typeUrl: typeUrls.cluster });
    expect(await eventually("the late one is refused", () => late.ended)).toMatchObject({ code: status.UNAVAILABLE });
  });
});

describe("addresses", () => {
  test("a Unix socket is this user's alone", async () => {
    await serve();
    expect(statSync(join(folder, "ads.sock")).mode & 0o777).toBe(0o600);
    const client = connect();
    client.ask({ node, typeUrl: typeUrls.cluster });
    await eventually("it serves", () => client.responses[0]);
  });

  test("one that somebody uses is named", async () => {
    const socketPath = join(folder, "ads.sock");
    const other = createServer();
    other.listen(socketPath);
    await once(other, "listening");
    cleanup.defer(() => {
      other.close();
    });
    await expect(serve()).rejects.toMatchObject({
      code: "AlreadyExists",
      message: expect.stringContaining(socketPath),
    });
  });

  test("plain text does not leave the machine", async () => {
    await expect(serve({ listen: [{ host: "0.0.0.0", port: 0 }] })).rejects.toMatchObject({ code: "InvalidArgument" });
  });

  test("several addresses, ports filled in", async () => {
    await serve({
      listen: [{ host: "127.0.0.1", port: 0 }, { host: "::1", port: 0 }, { socketPath: join(folder, "s") }],
    });
    expect(server.addresses).toMatchObject([
      { host: "127.0.0.1", port: expect.any(Number) as number },
      { host: "::1", port: expect.any(Number) as number },
      { socketPath: join(folder, "s") },
    ]);
    for (const address of server.addresses) {
      const client = cleanup.use(new DeltaStream(address));
      client.ask({ node, typeUrl: typeUrls.cluster });
      await eventually("it serves", () => client.responses[0]);
    }
  });
});

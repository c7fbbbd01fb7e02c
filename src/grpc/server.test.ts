import { type ClientHttp2Session, connect as connectHttp2 } from "node:http2";
import { createConnection } from "node:net";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { connect as connectTls } from "node:tls";
import { Client, credentials, type ServiceError } from "@grpc/grpc-js";
import { afterAll, afterEach, beforeEach, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { type Certificate, createAuthority } from "#base/testing/certificate.ts";
import { ManualClock } from "#base/testing/manual-clock.ts";
import { Handshakes } from "#base/handshakes.ts";
import { type Call, GrpcServer } from "./server.ts";
import type { CredentialSource, ServerCredentials } from "./tls.ts";
import { unary } from "./unary.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-grpc-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const socketPath = join(folder, "tls.sock");
const name = "istiod.istio-system.svc";
const [authority, other] = [createAuthority("mesh"), createAuthority("other")];

/** Credentials that a test replaces. */
class TestCredentials implements CredentialSource {
  current: ServerCredentials;
  readonly #callbacks = new Set<() => void>();

  constructor(current: ServerCredentials) {
    this.current = current;
  }

  replace(next: ServerCredentials): void {
    this.current = next;
    for (const callback of this.#callbacks) callback();
  }

  onChange(callback: () => void): Disposable {
    this.#callbacks.add(callback);
    return { [Symbol.dispose]: () => this.#callbacks.delete(callback) };
  }
}

function credentialsOf({ certificate, key }: Certificate, ...roots: readonly string[]): ServerCredentials {
  return { certificate, key, roots };
}

let calls: Call[] = [];
const clients: Client[] = [];
let source: TestCredentials;
let server: GrpcServer;

const echo = unary<string>({
  clock: systemClock,
  mostBytes: 1000,
  arrivalMs: 300,
  read: (bytes) => {
    if (bytes[0] === 0) throw new TypeError("it begins with a zero");
    return bytes.toString();
  },
  answer: async (text, call) => {
    calls.push(call);
    if (text === "refuse") throw new WeftError("PermissionDenied", "not you: ü");
    if (text === "fail") throw new Error("the secret is 42");
    return Buffer.from(`${text}!`);
  },
});

beforeEach(async () => {
  calls = [];
  source = new TestCredentials(credentialsOf(authority.issue(name), authority.certificate));
  server = await GrpcServer.listen({
    listen: [
      { socketPath, tls: true },
      { host: "0.0.0.0", port: 0, tls: true },
    ],
    methods: { "/test.Echo/Echo": echo, "/test.Echo/Wait": () => undefined },
    idleMs: 1_000,
    clock: systemClock,
    credentials: source,
    maxConcurrentStreams: 100,
  });
});

afterEach(() => {
  for (const client of clients.splice(0)) client.close();
  server.close();
  server[Symbol.dispose]();
});

/** A client that trusts an authority, with a certificate of its own or without. */
function clientOf(own?: Certificate, trusted = authority.certificate, target = `unix:${socketPath}`): Client {
  const pair = own ? ([Buffer.from(own.key), Buffer.from(own.certificate)] as const) : ([null, null] as const);
  const client = new Client(target, credentials.createSsl(Buffer.from(trusted), ...pair), {
    "grpc.ssl_target_name_override": name,
    "grpc.use_local_subchannel_pool": 1,
  });
  clients.push(client);
  return client;
}

function call(client: Client, text: string, path = "/test.Echo/Echo"): Promise<string> {
  const same = (bytes: Buffer): Buffer => bytes;
  return new Promise((resolve, reject) => {
    const deadline = { deadline: Date.now() + 10_000 };
    client.makeUnaryRequest(path, same, same, Buffer.from(text), deadline, (error, answer) =>
      error ? reject(error) : resolve(String(answer)),
    );
  });
}

test("serves over TLS on a Unix socket and on any address", async () => {
  expect(await call(clientOf(), "hello")).toBe("hello!");
  const { port } = server.addresses[1] as { port: number };
  expect(await call(clientOf(undefined, authority.certificate, `127.0.0.1:${port}`), "hello")).toBe("hello!");
  expect(calls.map(({ certificate }) => certificate)).toEqual([undefined, undefined]);
  expect(calls[1]?.from).toBe("127.0.0.1");
});

test("who closes says so: calls that are go on, and the next is made elsewhere", async () => {
  const { port } = server.addresses[1] as { port: number };
  const session = connectHttp2(`https://127.0.0.1:${port}`, { ca: authority.certificate, servername: name });
  const told = new Promise((resolve) => {
    session.once("goaway", resolve);
  });
  const open = session.request({ ":method": "POST", ":path": "/test.Echo/Wait", "content-type": "application/grpc" });
  open.on("error", () => undefined);
  session.on("error", () => undefined);
  await new Promise((resolve) => {
    session.once("connect", () => session.ping(resolve));
  });
  server.close();
  expect(await told).toBe(0);
  expect(open.closed).toBe(false);
  await expect(call(clientOf(undefined, authority.certificate, `127.0.0.1:${port}`), "late")).rejects.toThrow(
    "UNAVAILABLE",
  );
  session.destroy();
});

test("plain text is for this machine alone", async () => {
  const options = { methods: {}, clock: systemClock, maxConcurrentStreams: 1 };
  const refused = GrpcServer.listen({ ...options, listen: [{ host: "0.0.0.0", port: 0 }] });
  await expect(refused).rejects.toMatchObject({ code: "InvalidArgument" });
});

test("a client's certificate is shown to methods if it leads to a root, and only then", async () => {
  const spiffe = "spiffe://cluster.local/ns/shop/sa/reviews";
  await call(clientOf(authority.issue(spiffe)), "one");
  await call(clientOf(other.issue(spiffe)), "two");
  await call(clientOf(authority.issueFor({ names: [spiffe], until: new Date(Date.now() - 60_000) })), "three");
  expect(calls.map(({ certificate }) => certificate?.subjectAltName)).toEqual([`URI:${spiffe}`, undefined, undefined]);
});

test("credentials are replaced without a restart, connections from before go on", async () => {
  const before = clientOf();
  await call(before, "one");
  source.replace(credentialsOf(other.issue(name), authority.certificate, other.certificate));
  expect(await call(before, "two")).toBe("two!");
  await expect(call(clientOf(), "three")).rejects.toThrow(/certificate/);
  const after = clientOf(other.issue("spiffe://cluster.local/ns/shop/sa/reviews"), other.certificate);
  expect(await call(after, "four")).toBe("four!");
  expect(calls.at(-1)?.certificate?.subjectAltName).toContain("reviews");
});

test("a session is not resumed after its root is gone", async () => {
  const own = authority.issue("spiffe://cluster.local/ns/shop/sa/reviews");
  const { port } = server.addresses[1] as { port: number };
  const open = (session?: Buffer): Promise<{ reused: boolean; session: Buffer | undefined }> =>
    new Promise((resolve, reject) => {
      const options = { host: "127.0.0.1", port, ca: authority.certificate, ALPNProtocols: ["h2"] };
      const pair = { cert: own.certificate, key: own.key, servername: name, maxVersion: "TLSv1.2" } as const;
      const socket = connectTls({ ...options, ...pair, ...(session && { session }) }, () => {
        resolve({ reused: socket.isSessionReused(), session: socket.getSession() });
        socket.destroy();
      });
      socket.on("error", reject);
    });
  const { session } = await open();
  source.replace(credentialsOf(authority.issue(name), other.certificate));
  expect((await open(session)).reused).toBe(false);
});

test.each([
  ["refuse", "/test.Echo/Echo", 7, "not you: ü"],
  ["fail", "/test.Echo/Echo", 13, "internal error"],
  ["\0", "/test.Echo/Echo", 3, "the request cannot be decoded"],
  ["x".repeat(2000), "/test.Echo/Echo", 8, "the limit is 1000"],
  ["x", "/test.Echo/constructor", 12, "there is no method"],
])("a call that fails gets its status", async (text, path, code, says) => {
  const refusal = call(clientOf(), text, path);
  await expect(refusal).rejects.toMatchObject({ code, details: expect.stringContaining(says) as string });
});

test("a request that does not come to an end is ended, two or none are refused", async () => {
  const same = (bytes: Buffer): Buffer => bytes;
  const streamed = (...texts: readonly string[]): Promise<ServiceError> =>
    new Promise((resolve) => {
      const stream = clientOf().makeClientStreamRequest("/test.Echo/Echo", same, same, (error) =>
        resolve(error as ServiceError),
      );
      for (const text of texts) stream.write(Buffer.from(text));
      if (texts[0] !== "wait") stream.end();
    });
  expect(await streamed("wait")).toMatchObject({ code: 4 });
  expect(await streamed("one", "two")).toMatchObject({ code: 3 });
  expect(await streamed()).toMatchObject({ code: 3 });
  expect(calls).toEqual([]);
});

test("bytes that are no TLS harm nobody", async () => {
  const junk = createConnection(socketPath);
  const closed = new Promise((resolve) => {
    junk.on("close", resolve);
  });
  junk.on("error", () => undefined);
  junk.write("GET / HTTP/1.1\r\n\r\n");
  await closed;
  expect(await call(clientOf(), "hello")).toBe("hello!");
});

test("a connection without a call is closed, one with a call is not", async () => {
  const open = (): ClientHttp2Session =>
    connectHttp2(`https://${name}`, { path: socketPath, ca: authority.certificate, servername: name });
  const [idle, busy] = [open(), open()];
  const call = busy.request({ ":method": "POST", ":path": "/test.Echo/Wait", "content-type": "application/grpc" });
  call.write(Buffer.from([0]));
  const ended = (session: ClientHttp2Session): Promise<unknown> =>
    new Promise((resolve) => {
      session.once("close", resolve);
    });
  for (const session of [idle, busy]) session.on("error", () => undefined);
  call.on("error", () => undefined);
  await ended(idle);
  expect(busy.closed || busy.destroyed).toBe(false);
  call.close();
  await ended(busy);
});

test("handshakes wait for their turn, and too many are not taken in", async () => {
  const clock = new ManualClock();
  const begun: unknown[] = [];
  using gate = new Handshakes(clock, (socket) => begun.push(socket), { perSecond: 100, burst: 2, waiting: 3 });
  const sockets = Array.from({ length: 8 }, () => createConnection(socketPath).on("error", () => undefined));
  for (const socket of sockets) gate.add(socket);
  const first = begun.length;
  expect(first).toBeLessThan(4);
  expect(sockets.filter(({ destroyed }) => destroyed)).toHaveLength(8 - first - 3);
  for (let step = 0; step < 10; step++) clock.advance(10);
  expect(begun).toHaveLength(first + 3);
  for (const socket of sockets) socket.destroy();
});

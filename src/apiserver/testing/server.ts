import { mkdtempSync, rmSync } from "node:fs";
import { type Agent, request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from "node:http";
import { request as httpsRequest } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { systemClock, type Clock } from "#base/clock.ts";
import { jsonLogger, type Logger } from "#base/logger.ts";
import { kinds } from "#api/kinds.ts";
import type { RecordLimits, ResourceStore } from "#store/port.ts";
import { openSqliteStore } from "#store/sqlite.ts";
import type { Authority, Credential } from "../pki/authority.ts";
import { createApiServer, type ApiServer, type ApiServerOptions } from "../server.ts";

/** What `/version` says in tests. */
export const version = {
  major: "1",
  minor: "36",
  gitVersion: "v1.36.0+weft",
  gitCommit: "",
  gitTreeState: "clean",
  buildDate: "2026-01-01T00:00:00Z",
  goVersion: "",
  compiler: "",
  platform: "linux/amd64",
} as const;

/** An answer, read whole. */
export interface Answer {
  readonly status: number;
  readonly headers: IncomingHttpHeaders;
  readonly text: string;
  /** The body as JSON. */
  readonly json: Json;
}

/** JSON of an answer, to be picked apart by tests. */
// oxlint-disable-next-line typescript/no-explicit-any -- a test asserts what it reads; a type for every answer would only repeat it.
export type Json = any;

/** A request of a test. */
interface Ask {
  readonly method?: string;
  /** An object becomes JSON. */
  readonly body?: unknown;
  readonly headers?: Readonly<Record<string, string | readonly string[]>>;
  /** Whom the connection's certificate is of, where the server authenticates; an administrator unless told, `null` for none. */
  readonly as?: TestUser | null;
  /** Keeps connections for more requests; each has one of its own unless told. */
  readonly agent?: Agent;
}

/** A user with a certificate. */
export interface TestUser {
  readonly name: string;
  readonly groups: readonly string[];
}

/** A stream of JSON lines: a watch, as it comes. */
export interface Lines extends Disposable {
  readonly status: number;
  /** The next line; undefined when the stream has ended. */
  next(): Promise<Json>;
}

/**
 * A server over a store in a directory of its own, with three endpoints: `mesh`, `east` and `west`. Disposing it throws
 * if it logged anything at warn or above.
 */
export interface TestServer extends AsyncDisposable {
  readonly store: ResourceStore;
  readonly server: ApiServer;
  readonly directory: string;
  /** What it has said, from `info` on. */
  readonly log: readonly string[];
  /** The base URL of an endpoint. */
  url(endpoint: string): string;
  ask(endpoint: string, path: string, ask?: Ask): Promise<Answer>;
  watch(
    endpoint: string,
    path: string,
    headers?: Readonly<Record<string, string>>,
    as?: TestUser | null,
  ): Promise<Lines>;
  /** Stops and starts it again over the same database. */
  restart(): Promise<void>;
}

const endpoints: ApiServerOptions["endpoints"] = [
  { name: "mesh", view: "mesh", partition: "mesh", listen: [{ host: "127.0.0.1", port: 0 }] },
  {
    name: "east",
    view: "cluster",
    partition: "cluster/east",
    listen: [{ host: "127.0.0.1", port: 0 }],
    serviceRange: "10.110.0.0/16",
  },
  {
    name: "west",
    view: "cluster",
    partition: "cluster/west",
    listen: [{ host: "127.0.0.1", port: 0 }],
    serviceRange: "10.120.0.0/28",
  },
];

/** How a test server differs from the usual one. */
type TestOptions = Partial<ApiServerOptions> & { readonly records?: RecordLimits };

interface Running {
  readonly store: ResourceStore;
  readonly server: ApiServer;
}

async function run(
  directory: string,
  clock: Clock,
  logger: Logger,
  { records, ...options }: TestOptions,
): Promise<Running> {
  const kept = records === undefined ? {} : { records };
  const store = await openSqliteStore({ path: join(directory, "store.db"), clock, logger, ...kept });
  try {
    return { store, server: await createApiServer({ store, kinds, endpoints, version, clock, logger, ...options }) };
  } catch (error) {
    await store[Symbol.asyncDispose]();
    throw error;
  }
}

const administrator: TestUser = { name: "admin", groups: ["system:masters"] };

/** What a client speaks TLS with. */
type ClientTls = Readonly<{ ca: string; cert?: string; key?: string }>;

/** Clients' certificates by authority and user: making one costs more than a request. */
const certificates = new WeakMap<Authority, Map<string, Credential>>();

/** What a user speaks TLS with to an endpoint. */
export function tlsOf(authority: Authority, user: TestUser | null): ClientTls {
  if (user === null) return { ca: authority.certificate };
  const known = certificates.get(authority) ?? new Map<string, Credential>();
  certificates.set(authority, known);
  const name = JSON.stringify(user);
  const credential = known.get(name) ?? authority.issueClient(user, 24 * 3600_000);
  known.set(name, credential);
  return { ca: authority.certificate, cert: credential.certificate, key: credential.key };
}

function send(
  url: string,
  { method = "GET", body, headers = {}, agent }: Ask,
  tls?: ClientTls,
): Promise<IncomingMessage> {
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const plain = typeof body === "string" || Buffer.isBuffer(body);
  const type = body === undefined || plain ? {} : { "Content-Type": "application/json" };
  const content = body === undefined || plain ? body : JSON.stringify(body);
  // Node gives a DELETE's body no length by itself.
  const length = content === undefined ? {} : { "Content-Length": Buffer.byteLength(content) };
  const options = { method, headers: { ...type, ...length, ...headers }, agent: agent ?? false, ...tls };
  const request = tls === undefined ? httpRequest(url, options, resolve) : httpsRequest(url, options, resolve);
  request.on("error", reject);
  request.end(content);
  return promise;
}

async function readAnswer(url: string, ask: Ask, tls?: ClientTls): Promise<Answer> {
  const response = await send(url, ask, tls);
  const chunks: Buffer[] = [];
  for await (const chunk of response as AsyncIterable<Buffer>) chunks.push(chunk);
  const text = Buffer.concat(chunks).toString();
  return {
    status: response.statusCode ?? 0,
    headers: response.headers,
    text,
    get json() {
      return JSON.parse(text);
    },
  };
}

async function openLines(url: string, ask: Ask, tls?: ClientTls): Promise<Lines> {
  const response = await send(url, ask, tls);
  const lines = createInterface({ input: response })[Symbol.asyncIterator]();
  return {
    status: response.statusCode ?? 0,
    async next() {
      const { value, done } = await lines.next().catch(() => ({ value: undefined, done: true }));
      return done === true ? undefined : JSON.parse(value as string);
    },
    [Symbol.dispose]: () => response.destroy(),
  };
}

/** Starts a test server. */
export async function startTestServer(options: TestOptions = {}): Promise<TestServer> {
  const directory = mkdtempSync(join(tmpdir(), "weft-apiserver-"));
  const log: string[] = [];
  const clock = options.clock ?? systemClock;
  const logger = jsonLogger({ level: "info", write: (line) => log.push(line), now: () => clock.now() });
  let running: Running;
  try {
    running = await run(directory, clock, logger, options);
  } catch (error) {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  }
  const stop = async (): Promise<void> => {
    await running.server[Symbol.asyncDispose]();
    await running.store[Symbol.asyncDispose]();
  };
  const url = (endpoint: string): string => {
    const [address] = running.server.endpoints.get(endpoint) ?? [];
    if (address === undefined || !("port" in address)) throw new Error(`no TCP endpoint ${endpoint}`);
    return `${options.access === undefined ? "http" : "https"}://127.0.0.1:${address.port}`;
  };
  const tls = (endpoint: string, as: TestUser | null = administrator): ClientTls | undefined => {
    const authority = running.server.authorities.get(endpoint);
    return authority === undefined ? undefined : tlsOf(authority, as);
  };
  return {
    get store() {
      return running.store;
    },
    get server() {
      return running.server;
    },
    directory,
    log,
    url,
    ask: (endpoint, path, ask = {}) => readAnswer(url(endpoint) + path, ask, tls(endpoint, ask.as)),
    watch: (endpoint, path, headers = {}, as) => openLines(url(endpoint) + path, { headers }, tls(endpoint, as)),
    async restart() {
      await stop();
      running = await run(directory, clock, logger, options);
    },
    async [Symbol.asyncDispose]() {
      await stop();
      rmSync(directory, { recursive: true, force: true });
      const complaints = log.filter((line) => /"level":"(?:warn|error)"/.test(line));
      if (complaints.length > 0) throw new Error(`the server complained:\n${complaints.join("\n")}`);
    },
  };
}

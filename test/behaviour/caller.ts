import { Agent, request as httpRequest } from "node:http";
import { connect as connectHttp2, type ClientHttp2Session } from "node:http2";
import type { Socket } from "node:net";
import type { Duplex } from "node:stream";
import { Connector } from "../support/connector.ts";
import type { Seen } from "./backends.ts";

/** A request that a workload sends. */
export interface Call {
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string;
  /** `Host` in place of the URL's. */
  readonly host?: string;
  /** HTTP/2 with prior knowledge, as gRPC uses it. */
  readonly http2?: boolean;
  /** Opens a connection for this request alone. */
  readonly fresh?: boolean;
}

/** What the workload got. */
export interface Result {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly text: string;
  /** What the backend says it saw; undefined when a proxy answered. */
  readonly seen: Seen | undefined;
  /** Milliseconds from the first byte of the request to the last of the answer. */
  readonly ms: number;
}

function flat(headers: Readonly<Record<string, string | string[] | number | undefined>>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(",")]));
}

function seenIn(text: string): Seen | undefined {
  if (!/^\{"pod".*\}$/.test(text)) return undefined;
  return JSON.parse(text) as Seen;
}

/** A program in a workload's network namespace that sends requests. Connections are kept and used again. */
export class Caller implements Disposable {
  readonly #connector: Connector;
  readonly #resolve: (host: string) => string;
  readonly #agents = new Map<string, Agent>();
  readonly #sessions = new Map<string, Promise<ClientHttp2Session>>();

  /** @param resolve what the workload's DNS would say. */
  constructor(namespace: string, resolve: (host: string) => string) {
    this.#connector = new Connector(namespace);
    this.#resolve = resolve;
  }

  /** A TCP connection. */
  connect(host: string, port: number): Promise<Socket> {
    return this.#connector.connect(this.#resolve(host), port);
  }

  /** Sends a request to `http://host:port/path`. */
  async send(url: string, call: Call = {}): Promise<Result> {
    const target = new URL(url);
    const port = target.port === "" ? 80 : Number(target.port);
    const started = performance.now();
    const path = `${target.pathname}${target.search}`;
    const answer = call.http2
      ? await this.#http2(target.hostname, port, path, target.host, call)
      : await this.#http1(target.hostname, port, path, target.host, call);
    return { ...answer, seen: seenIn(answer.text), ms: performance.now() - started };
  }

  [Symbol.dispose](): void {
    this.#connector[Symbol.dispose]();
    for (const agent of this.#agents.values()) agent.destroy();
    for (const session of this.#sessions.values()) void session.then((each) => each.destroy());
  }

  async #http1(host: string, port: number, path: string, authority: string, call: Call) {
    const agent = await this.#agent(host, port, call.fresh === true);
    const { method = "GET", headers = {}, body = "" } = call;
    const sent = { host: call.host ?? authority, ...headers };
    return new Promise<{ status: number; headers: Record<string, string>; text: string }>((resolve, reject) => {
      const request = httpRequest({ agent, method, path, headers: sent, setHost: false }, (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
        response.on("error", reject);
        response.on("end", () => {
          if (call.fresh) agent.destroy();
          resolve({ status: response.statusCode ?? 0, headers: flat(response.headers), text });
        });
      });
      request.on("error", reject).end(body);
    });
  }

  async #agent(host: string, port: number, fresh: boolean): Promise<Agent> {
    const key = `${host}:${port}`;
    const known = fresh ? undefined : this.#agents.get(key);
    if (known) return known;
    const agent = new Agent({ keepAlive: true });
    agent.createConnection = (_options, opened) => {
      void this.#open(host, port, opened);
      return undefined;
    };
    if (!fresh) this.#agents.set(key, agent);
    return agent;
  }

  async #open(
    host: string,
    port: number,
    opened: ((error: Error | null, socket: Duplex) => void) | undefined,
  ): Promise<void> {
    try {
      opened?.(null, await this.connect(host, port));
    } catch (fault) {
      opened?.(fault as Error, undefined as never);
    }
  }

  async #http2(host: string, port: number, path: string, authority: string, call: Call) {
    const session = await this.#session(host, port);
    const { method = "GET", headers = {}, body = "" } = call;
    const stream = session.request(
      {
        ":method": method,
        ":path": path,
        ":authority": call.host ?? authority,
        ...headers,
      },
      { endStream: body === "" },
    );
    return new Promise<{ status: number; headers: Record<string, string>; text: string }>((resolve, reject) => {
      let text = "";
      let got: Record<string, string> = {};
      stream.on("response", (each) => (got = { ...got, ...flat(each) }));
      stream.on("trailers", (each) => (got = { ...got, ...flat(each) }));
      stream.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
      stream.on("error", reject);
      stream.on("end", () => resolve({ status: Number(got[":status"]), headers: got, text }));
      if (body !== "") stream.end(body);
    });
  }

  #session(host: string, port: number): Promise<ClientHttp2Session> {
    const key = `${host}:${port}`;
    const known = this.#sessions.get(key);
    if (known) return known;
    const opened = this.connect(host, port).then((socket) =>
      connectHttp2(`http://${key}`, { createConnection: () => socket }),
    );
    this.#sessions.set(key, opened);
    return opened;
  }
}

/**
 * Calls a host in every way, 25 times a second each, without a second try, and tells at its own port how that went: HTTP/1.1 on connections
 * that are kept, HTTP/2, messages on streams as gRPC has them, words on TCP connections that are replaced every few seconds, and on one
 * that is kept. A connection that is told to go is left as soon as what it carries is done.
 */
import { Agent, createServer, get } from "node:http";
import { connect as connectHttp2, type ClientHttp2Session, type ClientHttp2Stream } from "node:http2";
import { connect, type Socket } from "node:net";
import { loadPorts, type LoadReport } from "./load.ts";

const [host = ""] = process.argv.slice(2);
const everyMs = 40;
const limitMs = 5000;
const replacedMs = 2000;

let counts = { http1: 0, http2: 0, stream: 0, raw: 0, kept: 0 };
let problems: string[] = [];
let times: number[] = [];

function fault(kind: string, what: string): void {
  if (problems.length < 1000) problems.push(`${new Date().toISOString().slice(17, 23)} ${kind}: ${what}`);
}

const agent = new Agent({ keepAlive: true, maxSockets: 4 });

function callHttp1(): void {
  const begun = performance.now();
  const request = get({ host, port: loadPorts.http1, agent, timeout: limitMs }, (response) => {
    if (response.statusCode !== 200) fault("http1", `status ${response.statusCode}`);
    response.resume().on("end", () => {
      counts.http1 += 1;
      times.push(performance.now() - begun);
    });
    response.on("error", (error) => fault("http1", error.message));
  });
  request.on("timeout", () => request.destroy(new Error("timeout")));
  request.on("error", (error) => fault("http1", error.message));
}

/** A connection by HTTP/2 that is left when it is told to go. */
class Session {
  #session: ClientHttp2Session | undefined;

  get(): ClientHttp2Session {
    if (this.#session && !this.#session.closed && !this.#session.destroyed) return this.#session;
    const session = connectHttp2(`http://${host}:${loadPorts.http2}`);
    const leave = (): void => {
      if (this.#session === session) this.#session = undefined;
    };
    session.on("goaway", leave).on("close", leave);
    session.on("error", (error) => fault("http2 connection", error.message));
    this.#session = session;
    return session;
  }
}

const plain = new Session();

function callHttp2(): void {
  const begun = performance.now();
  const stream = plain.get().request({ ":path": "/" });
  let answered = false;
  stream.setTimeout(limitMs, () => stream.destroy(new Error("timeout")));
  stream.on("response", (headers) => {
    answered = headers[":status"] === 200;
    if (!answered) fault("http2", `status ${headers[":status"]}`);
  });
  stream.on("error", (error) => fault("http2", error.message));
  stream.resume().on("end", () => {
    if (!answered) return;
    counts.http2 += 1;
    times.push(performance.now() - begun);
  });
}

/** A stream of messages that are said again; it is replaced by one on another connection when its own is told to go. */
class Stream {
  readonly #session = connectHttp2(`http://${host}:${loadPorts.http2}`);
  readonly #stream: ClientHttp2Stream;
  #sent = 0;
  #heard = 0;
  #leaving = false;
  isOver = false;

  constructor() {
    const headers = {
      ":path": "/load.Load/Talk",
      ":method": "POST",
      "content-type": "application/grpc",
      te: "trailers",
    };
    this.#stream = this.#session.request(headers);
    this.#session.on("goaway", () => this.leave());
    this.#session.on("error", (error) => fault("stream connection", error.message));
    this.#stream.on("error", (error) => fault("stream", error.message));
    this.#stream.on("data", (chunk: Buffer) => {
      this.#heard += chunk.length / 8;
      counts.stream += chunk.length / 8;
    });
    this.#stream.on("trailers", (trailers) => {
      if (trailers["grpc-status"] !== "0") fault("stream", `status ${String(trailers["grpc-status"])}`);
    });
    this.#stream.on("close", () => {
      this.isOver = true;
      if (!this.#leaving) fault("stream", "ended");
      if (this.#heard !== this.#sent) fault("stream", `${this.#sent - this.#heard} messages were not answered`);
      this.#session.close();
    });
  }

  say(): void {
    if (this.#leaving || this.isOver) return;
    this.#sent += 1;
    this.#stream.write(Buffer.alloc(8, 1));
  }

  /** Ends after the answers. */
  leave(): void {
    this.#leaving = true;
    this.isOver = true;
    this.#stream.end();
  }
}

let stream = new Stream();

function callStream(): void {
  if (stream.isOver) stream = new Stream();
  stream.say();
}

/** A connection on which words are said again. */
class Talk {
  readonly #socket: Socket;
  readonly since = performance.now();
  #sent = 0;
  #heard = 0;
  #ending = false;
  isOver = false;

  constructor(kind: "raw" | "kept") {
    this.#socket = connect({ host, port: loadPorts.raw });
    this.#socket.on("data", (chunk) => {
      this.#heard += chunk.length / 8;
      counts[kind] += chunk.length / 8;
    });
    this.#socket.on("error", (error) => fault(kind, error.message));
    this.#socket.on("close", () => {
      this.isOver = true;
      if (!this.#ending) fault(kind, "closed");
      else if (this.#heard !== this.#sent) fault(kind, `${this.#sent - this.#heard} words were not heard`);
    });
  }

  say(): void {
    if (this.isOver || this.#ending) return;
    this.#sent += 1;
    this.#socket.write(Buffer.alloc(8, 1));
  }

  end(): void {
    this.#ending = true;
    this.#socket.end();
  }
}

let raw = new Talk("raw");
let kept = new Talk("kept");

function callRaw(): void {
  if (performance.now() - raw.since > replacedMs) {
    raw.end();
    raw = new Talk("raw");
  }
  raw.say();
  if (kept.isOver) kept = new Talk("kept");
  kept.say();
}

function report(): LoadReport {
  const sorted = times.toSorted((a, b) => a - b);
  return { ...counts, problems, p99Ms: sorted[Math.floor(sorted.length * 0.99)] ?? 0 };
}

createServer((request, response) => {
  response.end(JSON.stringify(report()));
  if (request.url === "/forget") {
    counts = { http1: 0, http2: 0, stream: 0, raw: 0, kept: 0 };
    [problems, times] = [[], []];
  }
  // What is silent of new requests does not hear that its proxy ends: it is left on purpose, in time.
  if (request.url === "/replace") {
    kept.end();
    kept = new Talk("kept");
    stream.leave();
  }
}).listen(loadPorts.report, "0.0.0.0");

setInterval(() => {
  callHttp1();
  callHttp2();
  callStream();
  callRaw();
}, everyMs);

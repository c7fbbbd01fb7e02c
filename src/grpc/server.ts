import { createSecureServer, createServer, type Http2SecureServer, type Http2Server } from "node:http2";
import type { IncomingHttpHeaders, ServerHttp2Session, ServerHttp2Stream } from "node:http2";
import type { X509Certificate } from "node:crypto";
import type { Server } from "node:net";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { HandshakeLimits } from "#base/handshakes.ts";
import { TlsGate } from "#base/tls-gate.ts";
import { IdleConnections } from "./idle.ts";
import { Keepalive } from "./keepalive.ts";
import { listenOn, type ListenAddress } from "./listen.ts";
import { GrpcStream, dismiss, isGrpc, refuse } from "./stream.ts";
import { clientOptions, contextOptions, type CredentialSource, verifiedCertificate } from "./tls.ts";

/** A call that came in. */
export interface Call {
  readonly stream: GrpcStream;
  /** Metadata, and HTTP/2's own fields. */
  readonly headers: IncomingHttpHeaders;
  /** Whether it came over TLS. */
  readonly secure: boolean;
  /** What the peer showed over TLS, checked by the roots of the time. */
  readonly certificate: X509Certificate | undefined;
  /** Where it comes from, for people. */
  readonly from: string;
  /** The listening address by which it came: a socket's path, or host and port. */
  readonly address: string;
}

/** Answers calls of one method. */
export type Method = (call: Call) => void;

/** Methods by their paths: `/package.Service/Method`. */
export type Methods = Readonly<Record<string, Method>>;

/** What a server needs. */
export interface GrpcServerOptions {
  readonly listen: readonly ListenAddress[];
  readonly methods: Methods;
  readonly clock: Clock;
  /** For addresses with TLS. */
  readonly credentials?: CredentialSource;
  readonly handshakes?: Partial<HandshakeLimits>;
  /** Streams on one connection. */
  readonly maxConcurrentStreams: number;
  /** Milliseconds between pings to a connection; one that has not answered by the next is cut. */
  readonly keepaliveMs?: number;
  /** Milliseconds that a connection over TLS may be without a call before it is closed; a minute unless told. */
  readonly idleMs?: number;
}

/** Connections over TLS at one address, of which each proxy has one. */
const mostConnections = 30_000;

/** Serves gRPC over HTTP/2: in plain text to this machine, over TLS to others. */
export class GrpcServer implements Disposable {
  readonly #options: GrpcServerOptions;
  readonly #keepalive: Keepalive;
  readonly #servers: Server[] = [];
  readonly #sessions = new Set<ServerHttp2Session>();
  readonly #owned = new DisposableStack();
  #addresses: readonly ListenAddress[] = [];

  private constructor(options: GrpcServerOptions) {
    this.#options = options;
    this.#keepalive = new Keepalive(options.keepaliveMs ?? 30_000, options.clock);
  }

  /** @throws WeftError when an address cannot be listened on. */
  static async listen(options: GrpcServerOptions): Promise<GrpcServer> {
    const server = new GrpcServer(options);
    try {
      for (const address of options.listen) await server.#listen(address);
      return server;
    } catch (fault) {
      server.close();
      server[Symbol.dispose]();
      throw fault;
    }
  }

  /** Where it listens, ports filled in. */
  get addresses(): readonly ListenAddress[] {
    return this.#addresses;
  }

  /** Takes no more connections, and no more calls on those that are, which clients are told (GOAWAY); calls that are go on. */
  close(): void {
    for (const server of this.#servers) server.close();
    for (const session of this.#sessions) dismiss(session);
  }

  /** Ends all connections. */
  [Symbol.dispose](): void {
    this.#owned.dispose();
    this.#keepalive[Symbol.dispose]();
  }

  async #listen(address: ListenAddress): Promise<void> {
    const name = "socketPath" in address ? address.socketPath : `${address.host}:${address.port}`;
    const server = address.tls === true ? this.#secureServer(name) : this.#plainServer(name);
    this.#servers.push(server);
    this.#addresses = [...this.#addresses, await listenOn(server, address)];
  }

  get #http2Options() {
    const { maxConcurrentStreams } = this.#options;
    // What waits for peers is bounded over all of them, not for each.
    return { maxSessionMemory: Number.MAX_SAFE_INTEGER, settings: { maxConcurrentStreams } };
  }

  #plainServer(address: string): Server {
    return this.#follow(createServer(this.#http2Options), address);
  }

  /** Accepts connections itself, so that their handshakes can wait. */
  #secureServer(address: string): Server {
    const { credentials, clock, handshakes, idleMs = 60_000 } = this.#options;
    if (!credentials) throw new WeftError("Internal", "there are no credentials to serve TLS with");
    const secure = createSecureServer({
      ...this.#http2Options,
      ...contextOptions(credentials.current),
      ...clientOptions,
      allowHTTP1: false,
    });
    this.#owned.use(credentials.onChange(() => secure.setSecureContext(contextOptions(credentials.current))));
    const idle = new IdleConnections(clock, idleMs);
    secure.on("session", (session: ServerHttp2Session) => idle.watch(session));
    this.#follow(secure, address);
    const limits = { connections: mostConnections, handshakes };
    return this.#owned.use(new TlsGate((socket) => secure.emit("connection", socket), clock, limits)).listening;
  }

  #follow<S extends Http2Server | Http2SecureServer>(server: S, address: string): S {
    server.on("session", (session: ServerHttp2Session) => {
      this.#keepalive.watch(session);
      this.#sessions.add(session);
      session.once("close", () => this.#sessions.delete(session));
      const certificate = session.socket && verifiedCertificate(session.socket);
      const secure = session.encrypted === true;
      const from = session.socket?.remoteAddress ?? "this machine";
      session.on("stream", (stream, headers) => this.#accept(stream, headers, { secure, certificate, from, address }));
    });
    return server;
  }

  #accept(stream: ServerHttp2Stream, headers: IncomingHttpHeaders, peer: Omit<Call, "stream" | "headers">): void {
    const transport = new GrpcStream(stream);
    if (!isGrpc(headers)) {
      refuse(stream);
      return;
    }
    const { ":path": path = "" } = headers;
    const { methods } = this.#options;
    const method = Object.hasOwn(methods, path) ? methods[path] : undefined;
    if (method) method({ stream: transport, headers, ...peer });
    else transport.end(new WeftError("Unsupported", `there is no method ${path}`));
  }
}

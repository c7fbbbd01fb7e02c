import { createServer as createHttpServer, type RequestListener, type Server as HttpServer } from "node:http";
import { createServer as createHttpsServer, type Server as HttpsServer } from "node:https";
import { createServer as createNetServer, type Server, type Socket } from "node:net";
import type { Clock } from "#base/clock.ts";
import { type GateLimits, TlsGate } from "#base/tls-gate.ts";
import { listen, type ListenAddress } from "./listener.ts";
import type { Credential } from "./pki/authority.ts";

/** The first byte of a TLS record that begins a handshake (RFC 8446, 5.1); no HTTP request begins with it. */
const handshakeByte = 0x16;

/** Milliseconds that a connection over a Unix socket has to send its first byte. */
const firstByteMs = 30_000;

/**
 * Milliseconds that a connection is kept which is not used: longer than clients keep one (those of Go 90 seconds), since what
 * a client writes at the moment when the server closes is lost to it.
 */
export const keepAliveTimeout = 120_000;

/** Milliseconds that a handshake of TLS may take. */
export const handshakeTimeout = 10_000;

/** Connections at one address, of all clients together. */
const mostConnections = 10_000;

/** What TLS is spoken with. */
export interface TlsSettings {
  readonly serving: Credential;
  /** Who signs clients' certificates, in PEM. */
  readonly clientAuthority: string;
}

/** Takes the requests that come in over TLS, and those that come in without. */
export interface Listeners {
  readonly plain: RequestListener;
  readonly tls: RequestListener;
}

function contextOf({ serving, clientAuthority }: TlsSettings): { cert: string; key: string; ca: string } {
  return { cert: serving.certificate, key: serving.key, ca: clientAuthority };
}

function tlsServer(settings: TlsSettings, listener: RequestListener): HttpsServer {
  const options = {
    ...contextOf(settings),
    minVersion: "TLSv1.2",
    // Clients may show a certificate, and one that is not good is for authentication to refuse.
    requestCert: true,
    rejectUnauthorized: false,
    keepAliveTimeout,
    handshakeTimeout,
  } as const;
  return createHttpsServer(options, listener);
}

/** What stands before a server that speaks TLS. */
export function gateBefore(secure: HttpsServer, clock: Clock, limits: Partial<GateLimits> = {}): TlsGate {
  return TlsGate.before(secure, clock, { connections: mostConnections, ...limits });
}

/** One address that is listened on, with the HTTP servers behind it. */
export class Front {
  /** Where it listens, with its real port. */
  readonly address: ListenAddress;
  readonly #servers: readonly (HttpServer | HttpsServer)[];
  readonly #tls: HttpsServer | undefined;
  readonly #listening: Server;
  readonly #gate: TlsGate | undefined;

  private constructor(
    address: ListenAddress,
    listening: Server,
    servers: readonly (HttpServer | HttpsServer)[],
    tls: HttpsServer | undefined,
    gate?: TlsGate,
  ) {
    this.address = address;
    this.#listening = listening;
    this.#servers = servers;
    this.#tls = tls;
    this.#gate = gate;
  }

  /**
   * Listens on an address. With TLS a TCP address speaks nothing else; on a Unix socket each connection may speak it or not.
   * @throws WeftError as `listen`.
   */
  static async open(
    address: ListenAddress,
    listeners: Listeners,
    tls: TlsSettings | undefined,
    clock: Clock,
    limits: Partial<GateLimits> = {},
  ): Promise<Front> {
    const { connections = mostConnections } = limits;
    if (tls === undefined) {
      const server = createHttpServer({ keepAliveTimeout }, listeners.plain);
      server.maxConnections = connections;
      return new Front(await listen(server, address, false), server, [server], undefined);
    }
    const secure = tlsServer(tls, listeners.tls);
    if (!("socketPath" in address)) {
      const gate = gateBefore(secure, clock, limits);
      return new Front(await listen(gate.listening, address, true), gate.listening, [secure], secure, gate);
    }
    const plain = createHttpServer({ keepAliveTimeout }, listeners.plain);
    for (const server of [plain, secure]) know(server);
    const front = createNetServer((socket) => divide(socket, plain, secure));
    front.maxConnections = connections;
    return new Front(await listen(front, address, true), front, [plain, secure], secure);
  }

  /** Speaks TLS with new settings from the next connection on. */
  renew(settings: TlsSettings): void {
    this.#tls?.setSecureContext({ ...contextOf(settings), minVersion: "TLSv1.2" });
  }

  /** Takes no more connections; resolves when the last one has ended. */
  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    // A server that never listened says so; it is closed all the same.
    this.#listening.close(() => resolve());
    this.#gate?.[Symbol.dispose]();
    for (const server of this.#servers) {
      server.closeIdleConnections();
      server.close();
    }
    await promise;
  }

  /** Ends what is still open. */
  closeAllConnections(): void {
    for (const server of this.#servers) server.closeAllConnections();
    this.#gate?.closeAllConnections();
  }
}

/** From this event on Node knows of a server's connections, and closes those that are late or when told to. */
function know(server: HttpServer | HttpsServer): void {
  server.emit("listening");
}

/** Gives a connection to the server that speaks what its first byte says. */
function divide(socket: Socket, plain: HttpServer, secure: HttpsServer): void {
  const drop = (): void => void socket.destroy();
  socket.setTimeout(firstByteMs, drop);
  socket.on("error", drop);
  socket.once("data", (chunk: Buffer) => {
    socket.pause();
    socket.setTimeout(0);
    socket.off("timeout", drop);
    socket.unshift(chunk);
    (chunk[0] === handshakeByte ? secure : plain).emit("connection", socket);
    process.nextTick(() => socket.resume());
  });
}

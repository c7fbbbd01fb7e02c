import { createServer as createHttp, type IncomingMessage, type ServerResponse } from "node:http";
import { createServer as createHttp2, type Http2ServerRequest, type Http2ServerResponse } from "node:http2";
import type { Server, Socket } from "node:net";
import { createServer as createHttps } from "node:https";
import { createServer as createTls, type TLSSocket } from "node:tls";
import { namespacePath } from "#runtime/namespace.ts";
import { listenInside } from "#runtime/namespace-socket.ts";
import { createAuthority } from "#base/testing/certificate.ts";

/** Ports that every Pod listens on. */
export const podPorts = { http: 8080, h2c: 8081, https: 8444, tcp: 9000, raw: 9001, tls: 9443 } as const;

/** A request as a backend saw it. */
export interface Seen {
  /** Name of the Pod. */
  readonly pod: string;
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly protocol: "1.1" | "2.0";
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
  /** Tells the connections of a caller apart. */
  readonly connection: number;
}

/** A TLS handshake as a backend saw it. */
export interface Handshake {
  /** Name of the Pod. */
  readonly pod: string;
  /** The server name that was asked for; empty for none. */
  readonly serverName: string;
  /** Names in the caller's certificate; empty where it showed none. */
  readonly caller: string;
}

/** Whom the certificate of every Pod is for. */
export const certifiedName = "pod.test";

/** How a backend answers; 200 at once unless told. */
export interface Answer {
  readonly status?: number;
  readonly delayMs?: number;
  /** Answers no sooner than this. */
  readonly after?: Promise<void>;
  readonly headers?: Readonly<Record<string, string>>;
  /** Trailers, over HTTP/2 only. */
  readonly trailers?: Readonly<Record<string, string>>;
  /** Breaks the connection in place of an answer. */
  readonly reset?: boolean;
}

/** Decides on an answer by the request. */
export type Behaviour = (request: Seen) => Answer;

type Request = IncomingMessage | Http2ServerRequest;
type Response = ServerResponse | Http2ServerResponse;

function headersOf(request: Request): Readonly<Record<string, string>> {
  const entries = Object.entries(request.headers).map(([name, value]) => [name, [value].flat().join(",")]);
  return Object.fromEntries(entries) as Record<string, string>;
}

async function bodyOf(request: Request): Promise<string> {
  let text = "";
  try {
    for await (const chunk of request) text += String(chunk);
  } catch {
    // Proxies break requests off as they please.
  }
  return text;
}

/**
 * Servers of many Pods, told apart by the address that is called: HTTP/1.1, HTTP/2 in clear text, HTTP/1.1 over TLS, TCP
 * with and without TLS that sends back the Pod's name and what it gets, and TCP as a test serves it. HTTP answers say as
 * JSON what was seen; after an upgrade they are as TCP.
 */
export class Backends implements AsyncDisposable {
  /** Every request, in the order of arrival. */
  readonly seen: Seen[] = [];
  /** Names of the Pods that were pinged over HTTP/2, in the order of arrival. */
  readonly pinged: string[] = [];
  /** Every TLS handshake, in their order. */
  readonly handshakes: Handshake[] = [];
  /** What callers of the port `tls` offered who offered protocols, in their order; the first of them is chosen. */
  readonly offered: (readonly string[])[] = [];
  /** Whose certificates the Pods have. */
  readonly authority = createAuthority("pods");
  /** Serves connections to the port `raw`; sends back what it gets unless told. */
  raw: (socket: Socket, pod: string) => void = (socket) => void socket.pipe(socket);
  /** The certificate of all Pods. */
  readonly certificate = this.authority.issue(certifiedName);
  readonly #podOf: ReadonlyMap<string, string>;
  readonly #behaviours = new Map<string, Behaviour>();
  readonly #servers: Server[] = [];
  readonly #sockets = new Set<Socket>();

  /** @param podOf Pods' names by their addresses. */
  constructor(podOf: ReadonlyMap<string, string>) {
    this.#podOf = podOf;
  }

  /** Opens the ports of all addresses of a host. */
  async listen(namespace: string): Promise<void> {
    // Proxies keep connections for longer than Node does by default, and one closed as a request comes is a 503.
    const idle = { keepAliveTimeout: 0 };
    const http = createHttp(idle, (request, response) => void this.#answer(request, response));
    http.on("connect", (request, socket) => {
      this.seen.push({ ...this.#requestLine(request), body: "" });
      socket.write("HTTP/1.1 200 OK\r\n\r\n");
      this.#echo(socket as Socket);
    });
    http.on("upgrade", (request, socket) => {
      this.seen.push({ ...this.#requestLine(request), body: "" });
      socket.write(
        `HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ${request.headers.upgrade}\r\n\r\n`,
      );
      this.#echo(socket as Socket);
    });
    const h2c = createHttp2((request, response) => void this.#answer(request, response));
    h2c.on("session", (session) => session.on("ping", () => this.pinged.push(this.#podAt(session.socket))));
    const { certificate: cert, key } = this.certificate;
    const secured = { cert, key, requestCert: true, rejectUnauthorized: false };
    const https = createHttps({ ...secured, ...idle }, (request, response) => void this.#answer(request, response));
    https.on("secureConnection", (socket) => this.#note(socket));
    const ALPNCallback = ({ protocols }: { readonly protocols: readonly string[] }): string | undefined => {
      this.offered.push(protocols);
      return protocols[0];
    };
    const tls = createTls({ ...secured, ALPNCallback }, (socket) => {
      this.#note(socket);
      this.#echo(socket);
    });
    // Callers break handshakes off when they do not like a certificate.
    for (const server of [https, tls]) server.on("tlsClientError", () => undefined);
    const accept: Readonly<Record<keyof typeof podPorts, (socket: Socket) => void>> = {
      http: (socket) => http.emit("connection", socket),
      h2c: (socket) => h2c.emit("connection", socket),
      https: (socket) => https.emit("connection", socket),
      tcp: (socket) => this.#echo(socket),
      raw: (socket) => this.raw(socket, this.#podAt(socket)),
      tls: (socket) => tls.emit("connection", socket),
    };
    const open = Object.entries(podPorts).map(async ([kind, port]) => {
      const server = await listenInside(namespacePath(namespace), { host: "0.0.0.0", port });
      server.on("connection", (socket: Socket) => {
        this.#sockets.add(socket);
        socket.once("close", () => this.#sockets.delete(socket));
        // Proxies break connections as they please.
        socket.on("error", () => undefined);
        accept[kind as keyof typeof podPorts](socket);
      });
      this.#servers.push(server);
    });
    await Promise.all(open);
  }

  /** Makes Pods whose names begin with a prefix answer otherwise, until disposed. */
  behave(prefix: string, behaviour: Behaviour): Disposable {
    this.#behaviours.set(prefix, behaviour);
    return { [Symbol.dispose]: () => this.#behaviours.delete(prefix) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await Promise.all(
      this.#servers.map(
        (server) =>
          new Promise((resolve) => {
            server.close(resolve);
          }),
      ),
    );
  }

  #podAt(socket: Socket | undefined): string {
    return this.#podOf.get(socket?.localAddress ?? "") ?? "unknown";
  }

  #note(socket: TLSSocket): void {
    const { servername, subjectaltname = "" } = { servername: socket.servername, ...socket.getPeerCertificate() };
    this.handshakes.push({ pod: this.#podAt(socket), serverName: servername || "", caller: subjectaltname });
  }

  #echo(socket: Socket): void {
    // Proxies break connections as they please.
    socket.on("error", () => undefined);
    socket.write(`${this.#podAt(socket)}\n`);
    socket.pipe(socket);
  }

  /** What a backend saw of a request before its body. */
  #requestLine(request: Request): Omit<Seen, "body"> {
    const { socket } = request;
    return {
      pod: this.#podAt(socket),
      method: request.method ?? "",
      path: request.url ?? "",
      host: request.headers.host ?? String(request.headers[":authority"] ?? ""),
      protocol: request.httpVersion === "2.0" ? "2.0" : "1.1",
      headers: headersOf(request),
      connection: socket.remotePort ?? 0,
    };
  }

  async #answer(request: Request, response: Response): Promise<void> {
    const { socket } = request;
    const seen: Seen = { ...this.#requestLine(request), body: await bodyOf(request) };
    this.seen.push(seen);
    const behaviour = [...this.#behaviours].find(([prefix]) => seen.pod.startsWith(prefix))?.[1];
    const { status = 200, delayMs = 0, after, headers = {}, trailers, reset = false } = behaviour?.(seen) ?? {};
    await after;
    if (delayMs > 0) {
      await new Promise((resolve) => {
        setTimeout(resolve, delayMs);
      });
    }
    if (reset) {
      socket.destroy();
      return;
    }
    this.#write(response, status, { "content-type": "application/json", ...headers }, trailers, JSON.stringify(seen));
  }

  #write(
    response: Response,
    status: number,
    headers: Readonly<Record<string, string>>,
    trailers: Readonly<Record<string, string>> | undefined,
    body: string,
  ): void {
    if (response.destroyed) return;
    response.statusCode = status;
    for (const [name, value] of Object.entries(headers)) response.setHeader(name, value);
    if (trailers) response.addTrailers({ ...trailers });
    response.end(body);
  }
}

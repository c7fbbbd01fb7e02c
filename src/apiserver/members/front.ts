import { constants, X509Certificate } from "node:crypto";
import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { createSecureContext, TLSSocket, type SecureContext } from "node:tls";
import type { FrontProxyTrust } from "#api/front-proxy.ts";
import type { Clock } from "#base/clock.ts";
import type { GateLimits, TlsGate } from "#base/tls-gate.ts";
import { gateBefore, handshakeTimeout, keepAliveTimeout } from "../front.ts";
import { listen, type ListenAddress } from "../listener.ts";
import { isDue, type Authority, type Credential } from "../pki/authority.ts";

/** What answers the requests of one member. */
export interface MemberDoor {
  /** Whom to believe now; undefined while that is not known. */
  trust(): FrontProxyTrust | undefined;
  readonly listener: RequestListener;
}

/** What a member's connections are opened with, and what it was made of. */
interface Opening {
  readonly context: SecureContext;
  readonly credential: Credential;
  readonly trust: FrontProxyTrust | undefined;
}

const minVersion = "TLSv1.2";

/** Whether a certificate is still of an authority that is trusted. One that came with others between counts as not. */
function isOf(certificate: X509Certificate | undefined, authorities: readonly string[]): boolean {
  return authorities.some((text) => {
    const authority = new X509Certificate(text);
    return certificate?.checkIssued(authority) === true && certificate.verify(authority.publicKey);
  });
}

/**
 * The one address at which the API servers of all members reach the mesh's API. Which member calls is told by the name that is asked for
 * in TLS (RFC 6066, 3), and proved by a certificate of the authority that this member names; a certificate of one member means nothing
 * under the name of another.
 */
export class MembersFront implements AsyncDisposable {
  readonly #authority: Authority;
  readonly #clock: Clock;
  readonly #doors = new Map<string, MemberDoor>();
  readonly #openings = new Map<string, Opening>();
  /** Open connections, with whom their certificates were verified for. */
  readonly #sockets = new Map<TLSSocket, { readonly name: string; trust: FrontProxyTrust | undefined }>();
  readonly #server: Server;
  readonly #gate: TlsGate;
  #address: ListenAddress | undefined;

  /** @param authority signs the certificates that it serves with. */
  constructor(authority: Authority, clock: Clock, limits: Partial<GateLimits> = {}) {
    this.#authority = authority;
    this.#clock = clock;
    this.#server = createServer(
      {
        minVersion,
        requestCert: true,
        // What is shown is for authentication to refuse, in words.
        rejectUnauthorized: false,
        // A resumed session would be verified for the name that it was opened under, which may be another member's.
        secureOptions: constants.SSL_OP_NO_TICKET,
        keepAliveTimeout,
        handshakeTimeout,
        SNICallback: (name, done) => {
          const context = this.#contextOf(name);
          if (context === undefined) done(new Error(`no member has the name ${JSON.stringify(name)}`));
          else done(null, context);
        },
      },
      (request, response) => this.#serve(request, response),
    );
    this.#server.on("secureConnection", (socket) => this.#take(socket));
    this.#gate = gateBefore(this.#server, clock, limits);
  }

  /** Where it listens, with its real port; only once it does. */
  get address(): ListenAddress | undefined {
    return this.#address;
  }

  /** @throws WeftError `Unavailable` for an address that is taken. */
  async listen(address: ListenAddress): Promise<void> {
    this.#address = await listen(this.#gate.listening, address, true);
  }

  /** Answers requests under a name, until disposed of: then its connections end. */
  open(name: string, door: MemberDoor): Disposable {
    this.#doors.set(name, door);
    return {
      [Symbol.dispose]: () => {
        if (this.#doors.get(name) !== door) return;
        this.#doors.delete(name);
        this.#openings.delete(name);
        for (const [socket, shown] of this.#sockets) if (shown.name === name) socket.destroy();
      },
    };
  }

  /** Ends the connections of API servers that are not trusted any more: authorities have been replaced. */
  sweep(): void {
    for (const [socket, shown] of this.#sockets) {
      const trust = this.#doors.get(shown.name)?.trust();
      if (trust === shown.trust) continue;
      // What was refused once is refused for as long as the connection lasts, which then must be opened again.
      if (trust !== undefined && socket.authorized && isOf(socket.getPeerX509Certificate(), trust.authorities))
        shown.trust = trust;
      else socket.destroy();
    }
  }

  /** Takes no more connections; resolves when the last one has ended. */
  async close(): Promise<void> {
    const { promise, resolve } = Promise.withResolvers<void>();
    this.#gate.listening.close(() => resolve());
    this.#gate[Symbol.dispose]();
    this.#server.closeIdleConnections();
    this.#server.close();
    await promise;
  }

  /** Ends all connections. */
  async [Symbol.asyncDispose](): Promise<void> {
    const closed = this.close();
    this.#gate.closeAllConnections();
    await closed;
  }

  #contextOf(name: string): SecureContext | undefined {
    const door = this.#doors.get(name);
    if (door === undefined) return undefined;
    const trust = door.trust();
    const known = this.#openings.get(name);
    const due = known === undefined || isDue(known.credential.certificate, this.#clock.now());
    if (!due && known.trust === trust) return known.context;
    const credential = due ? this.#authority.issueServing([name]) : known.credential;
    const { certificate: cert, key } = credential;
    const context = createSecureContext({ cert, key, ca: [...(trust?.authorities ?? [])], minVersion });
    this.#openings.set(name, { context, credential, trust });
    return context;
  }

  #take(socket: TLSSocket): void {
    const { servername: name } = socket as TLSSocket & { readonly servername?: string | false };
    if (typeof name !== "string" || !this.#doors.has(name) || socket.isSessionReused()) {
      socket.destroy();
      return;
    }
    this.#sockets.set(socket, { name, trust: this.#openings.get(name)?.trust });
    socket.once("close", () => this.#sockets.delete(socket));
  }

  #serve(request: IncomingMessage, response: ServerResponse): void {
    const { socket } = request;
    const shown = socket instanceof TLSSocket ? this.#sockets.get(socket) : undefined;
    const door = shown === undefined ? undefined : this.#doors.get(shown.name);
    if (door === undefined) response.destroy();
    else door.listener(request, response);
  }
}

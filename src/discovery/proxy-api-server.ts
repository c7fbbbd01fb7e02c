import type { IncomingMessage, RequestListener, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { TLSSocket } from "node:tls";
import { type ProxyApiPlace, proxyApiClient, proxyApiName } from "#api/weft/replicas.ts";
import { Authority } from "#apiserver/pki/authority.ts";
import type { Clock } from "#base/clock.ts";
import { TlsGate } from "#base/tls-gate.ts";
import { listenOn } from "#grpc/listen.ts";

/** Where the API of proxies is served to API servers of other machines. */
export interface ProxyApiServerOptions {
  /** An address of this machine by which those reach it. */
  readonly host: string;
  readonly port: number;
  /** The authority of the mesh's API, by whose certificates its servers are known; PEM. */
  readonly clients: string;
  readonly answer: RequestListener;
  readonly clock: Clock;
}

/** Connections of all who may ask, and of strangers who begin handshakes. */
const mostConnections = 1000;
/** Milliseconds that a handshake may take. */
const handshakeTimeout = 10_000;
/** Milliseconds after which the certificate is replaced, a third of its life. */
const renewMs = 10 * 86_400_000;

/** Whether a connection is one of the mesh's API servers', and not of somebody whom they know. */
function isServer({ socket }: IncomingMessage): boolean {
  return socket instanceof TLSSocket && socket.authorized && socket.getPeerCertificate().subject.CN === proxyApiClient;
}

/**
 * The API of proxies over TLS. Both ends prove who they are: this one by an authority of its own, which its Lease tells, the mesh's API
 * server by a certificate of its authority.
 */
export class ProxyApiServer implements AsyncDisposable {
  /** What its Lease is to tell. */
  readonly place: ProxyApiPlace;
  readonly #server: Server;
  readonly #gate: TlsGate;
  readonly #renewal: Disposable;

  private constructor(server: Server, gate: TlsGate, place: ProxyApiPlace, renewal: Disposable) {
    this.#server = server;
    this.#gate = gate;
    this.place = place;
    this.#renewal = renewal;
  }

  /** @throws WeftError `Unavailable` where the address cannot be had. */
  static async listen({ host, port, clients, answer, clock }: ProxyApiServerOptions): Promise<ProxyApiServer> {
    const authority = Authority.open(undefined, "proxies", clock);
    const credential = (): { readonly cert: string; readonly key: string; readonly ca: string } => {
      const { certificate: cert, key } = authority.issueServing([proxyApiName]);
      return { cert, key, ca: clients };
    };
    const asked = (request: IncomingMessage, response: ServerResponse): void => {
      if (isServer(request)) answer(request, response);
      else response.writeHead(403, { "content-type": "text/plain" }).end("only the mesh's API servers are told\n");
    };
    const strict = { requestCert: true, rejectUnauthorized: true, minVersion: "TLSv1.3" } as const;
    const server = createServer({ ...credential(), ...strict, handshakeTimeout }, asked);
    const gate = TlsGate.before(server, clock, { connections: mostConnections });
    const bound = await listenOn(gate.listening, { host, port, tls: true });
    const taken = "port" in bound ? bound.port : port;
    const address = `${host.includes(":") ? `[${host}]` : host}:${taken}`;
    const renewal = clock.every(renewMs, () =>
      server.setSecureContext({ ...credential(), minVersion: strict.minVersion }),
    );
    return new ProxyApiServer(server, gate, { address, authority: authority.certificate }, renewal);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#renewal[Symbol.dispose]();
    const closed = new Promise((resolve) => this.#gate.listening.close(resolve));
    this.#gate[Symbol.dispose]();
    this.#gate.closeAllConnections();
    this.#server.close();
    await closed;
  }
}

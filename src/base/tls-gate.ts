import type { Server as HttpsServer } from "node:https";
import { createServer, type Server, type Socket } from "node:net";
import type { Clock } from "./clock.ts";
import { type HandshakeLimits, Handshakes, mostOfOne } from "./handshakes.ts";

/** How many connections there may be, before anybody has proven anything. */
export interface GateLimits {
  /** Of all clients together; one address has nine tenths of them at the most. */
  readonly connections: number;
  readonly handshakes?: Partial<HandshakeLimits> | undefined;
}

/** Takes connections in place of a server that speaks TLS: so many, whose handshakes take turns. */
export class TlsGate implements Disposable {
  /** What listens. */
  readonly listening: Server;
  readonly #handshakes: Handshakes;
  readonly #limits: GateLimits;
  readonly #open = new Set<Socket>();
  readonly #byAddress = new Map<string, number>();

  /** A gate before a server of HTTPS, which does not listen itself. */
  static before(server: HttpsServer, clock: Clock, limits: GateLimits): TlsGate {
    // From this event on Node knows of a server's connections, and closes those that are late.
    server.emit("listening");
    return new TlsGate((socket) => server.emit("connection", socket), clock, limits);
  }

  /** @param begin begins TLS on a connection of which nothing has been read. */
  constructor(begin: (socket: Socket) => unknown, clock: Clock, limits: GateLimits) {
    this.#limits = limits;
    this.#handshakes = new Handshakes(clock, begin, limits.handshakes);
    this.listening = createServer({ pauseOnConnect: true }, (socket) => this.#take(socket));
    this.listening.maxConnections = limits.connections;
  }

  /** Closes what waits for its turn. */
  [Symbol.dispose](): void {
    this.#handshakes[Symbol.dispose]();
  }

  /** Ends all connections, also those in the middle of a handshake. */
  closeAllConnections(): void {
    for (const socket of this.#open) socket.destroy();
  }

  #take(socket: Socket): void {
    // Those of a Unix socket have none, and come from this machine.
    const { remoteAddress: address } = socket;
    if (address !== undefined) {
      const count = this.#byAddress.get(address) ?? 0;
      if (count >= mostOfOne(this.#limits.connections)) {
        socket.destroy();
        return;
      }
      this.#byAddress.set(address, count + 1);
    }
    this.#open.add(socket);
    socket.once("close", () => this.#gone(socket, address));
    this.#handshakes.add(socket);
  }

  #gone(socket: Socket, address: string | undefined): void {
    this.#open.delete(socket);
    if (address === undefined) return;
    const count = (this.#byAddress.get(address) ?? 1) - 1;
    if (count > 0) this.#byAddress.set(address, count);
    else this.#byAddress.delete(address);
  }
}

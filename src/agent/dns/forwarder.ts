import { randomInt } from "node:crypto";
import type { Socket as UdpSocket } from "node:dgram";
import type { Socket } from "node:net";
import type { Clock } from "#base/clock.ts";
import { bindInside, connectInside } from "#runtime/namespace-socket.ts";
import { bindHere, connectHere } from "#runtime/own-socket.ts";
import { headerLength, readQuery } from "./message.ts";
import type { Forwarder, Transport } from "./server.ts";

/** How long one name server is waited for. */
const waitMs = 2000;
/** Questions on their way at once, for all Pods of the node. */
const maxPending = 1024;
/** Connections to name servers at once; each is made by a process of its own. Only answers too long for UDP need them. */
const maxConnections = 8;

interface Pending {
  readonly query: Buffer;
  readonly resolve: (response: Uint8Array | undefined) => void;
}

/** Whether a response repeats the question, letter by letter. */
function repeats(response: Buffer, query: Buffer): boolean {
  const { question } = readQuery(query);
  return response.subarray(headerLength, headerLength + question.length).equals(question);
}

/** A number as the two bytes of the network's order. */
function word(value: number): Buffer {
  const bytes = Buffer.alloc(2);
  bytes.writeUInt16BE(value);
  return bytes;
}

/** Puts one question over a connection; the response, or undefined when the other side ends without a whole one. */
async function exchange(socket: Socket, query: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
  const stop = (): void => void socket.destroy();
  signal.addEventListener("abort", stop, { once: true });
  try {
    socket.write(Buffer.concat([word(query.length), query]));
    let bytes = Buffer.alloc(0);
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      bytes = Buffer.concat([bytes, chunk]);
      if (bytes.length >= 2 && bytes.length >= 2 + bytes.readUInt16BE(0)) break;
    }
    const response = bytes.subarray(2, 2 + (bytes.length < 2 ? 0 : bytes.readUInt16BE(0)));
    const whole = bytes.length >= 2 && response.length === bytes.readUInt16BE(0) && response.length > headerLength;
    return whole && response.subarray(0, 2).equals(query.subarray(0, 2)) && repeats(response, Buffer.from(query))
      ? response
      : undefined;
  } finally {
    signal.removeEventListener("abort", stop);
  }
}

/**
 * Asks the host's name servers, from the host's network: Pods themselves reach nothing outside the mesh. Each question gets a new
 * random id and is matched by it, by its server and by its text, so that no other answer is taken for it.
 */
export class HostForwarder implements Forwarder, Disposable {
  readonly #network: string | undefined;
  readonly #servers: readonly string[];
  readonly #clock: Clock;
  readonly #port: number;
  readonly #pending = new Map<string, Pending>();
  #socket: Promise<UdpSocket> | undefined;
  #connections = 0;

  /**
   * @param network file of the host's network namespace; this process's own unless told.
   * @param port that the servers listen on.
   */
  constructor(network: string | undefined, servers: readonly string[], clock: Clock, port = 53) {
    this.#network = network;
    this.#servers = servers;
    this.#clock = clock;
    this.#port = port;
  }

  async forward(query: Uint8Array, transport: Transport, signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (this.#pending.size >= maxPending) return undefined;
    for (const server of this.#servers) {
      const response = await this.#bounded(signal, async (within) =>
        transport === "tcp" ? this.#converse(server, query, within) : this.#ask(server, query, within),
      );
      if (response !== undefined || signal.aborted) return response;
    }
    return undefined;
  }

  /** What comes within the time that a server has, or undefined. */
  async #bounded(
    signal: AbortSignal,
    ask: (within: AbortSignal) => Promise<Uint8Array | undefined>,
  ): Promise<Uint8Array | undefined> {
    const elapsed = new AbortController();
    const timer = this.#clock.after(waitMs, () => elapsed.abort());
    try {
      return await ask(AbortSignal.any([signal, elapsed.signal]));
    } catch {
      return undefined;
    } finally {
      timer[Symbol.dispose]();
    }
  }

  /** Asks over TCP, as the client did: what it was told over UDP was cut. */
  async #converse(server: string, query: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (this.#connections >= maxConnections) return undefined;
    this.#connections += 1;
    let socket: Socket | undefined;
    try {
      const at = { host: server, port: this.#port };
      socket = await (this.#network === undefined ? connectHere(at, signal) : connectInside(this.#network, at, signal));
      return await exchange(socket, query, signal);
    } finally {
      socket?.destroy();
      this.#connections -= 1;
    }
  }

  async #ask(server: string, query: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const socket = await this.#open();
    const id = this.#freeId(server);
    const key = `${server} ${id}`;
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
    const stop = (): void => resolve(undefined);
    this.#pending.set(key, { query: Buffer.from(query), resolve });
    signal.addEventListener("abort", stop, { once: true });
    try {
      socket.send(Buffer.concat([word(id), query.subarray(2)]), this.#port, server);
      return await promise;
    } finally {
      signal.removeEventListener("abort", stop);
      this.#pending.delete(key);
    }
  }

  #freeId(server: string): number {
    for (;;) {
      const id = randomInt(0x10000);
      if (!this.#pending.has(`${server} ${id}`)) return id;
    }
  }

  /** Opened with the first question, and again after a failure. */
  #open(): Promise<UdpSocket> {
    const at = { host: "0.0.0.0", port: 0 };
    this.#socket ??= (this.#network === undefined ? bindHere(at) : bindInside(this.#network, at)).then(
      (socket) => {
        socket.on("error", () => undefined);
        socket.on("message", (bytes, from) => {
          const pending = bytes.length < 2 ? undefined : this.#pending.get(`${from.address} ${bytes.readUInt16BE(0)}`);
          if (pending === undefined || !repeats(bytes, pending.query)) return;
          pending.resolve(Buffer.concat([pending.query.subarray(0, 2), bytes.subarray(2)]));
        });
        return socket.unref();
      },
      (error: unknown) => {
        this.#socket = undefined;
        throw error;
      },
    );
    return this.#socket;
  }

  [Symbol.dispose](): void {
    void this.#socket?.then((socket) => socket.close()).catch(() => undefined);
  }
}

import type { Socket as UdpSocket } from "node:dgram";
import type { Clock } from "#base/clock.ts";
import { bindInside } from "#runtime/namespace-socket.ts";
import { headerLength, readQuery } from "./message.ts";
import type { Forwarder } from "./server.ts";

/** How long one name server is waited for. */
const waitMs = 2000;
/** Questions on their way at once, for all Pods of the node. */
const maxPending = 1024;

interface Pending {
  readonly query: Buffer;
  readonly resolve: (response: Uint8Array | undefined) => void;
}

/** Whether a response repeats the question, letter by letter. */
function repeats(response: Buffer, query: Buffer): boolean {
  const { question } = readQuery(query);
  return response.subarray(headerLength, headerLength + question.length).equals(question);
}

/**
 * Asks the host's name servers, from the host's network: Pods themselves reach nothing outside the mesh. Each question gets a new
 * random id and is matched by it, by its server and by its text, so that no other answer is taken for it.
 */
export class HostForwarder implements Forwarder, Disposable {
  readonly #network: string;
  readonly #servers: readonly string[];
  readonly #clock: Clock;
  readonly #port: number;
  readonly #pending = new Map<string, Pending>();
  #socket: Promise<UdpSocket> | undefined;
  #next = Math.floor(Math.random() * 0x10000);

  /**
   * @param network file of the host's network namespace.
   * @param port that the servers listen on.
   */
  constructor(network: string, servers: readonly string[], clock: Clock, port = 53) {
    this.#network = network;
    this.#servers = servers;
    this.#clock = clock;
    this.#port = port;
  }

  async forward(query: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
    if (this.#pending.size >= maxPending) return undefined;
    for (const server of this.#servers) {
      const response = await this.#ask(server, query, signal).catch(() => undefined);
      if (response !== undefined || signal.aborted) return response;
    }
    return undefined;
  }

  async #ask(server: string, query: Uint8Array, signal: AbortSignal): Promise<Uint8Array | undefined> {
    const socket = await this.#open();
    const id = Buffer.alloc(2);
    id.writeUInt16BE(this.#freeId(server));
    const key = `${server} ${id.readUInt16BE(0)}`;
    const { promise, resolve } = Promise.withResolvers<Uint8Array | undefined>();
    this.#pending.set(key, { query: Buffer.from(query), resolve });
    socket.send(Buffer.concat([id, query.subarray(2)]), this.#port, server);
    const elapsed = new AbortController();
    const timeout = this.#clock
      .sleep(waitMs, AbortSignal.any([signal, elapsed.signal]))
      .then(() => undefined)
      .catch(() => undefined);
    try {
      return await Promise.race([promise, timeout]);
    } finally {
      elapsed.abort();
      this.#pending.delete(key);
    }
  }

  #freeId(server: string): number {
    do this.#next = (this.#next + 1 + Math.floor(Math.random() * 64)) & 0xffff;
    while (this.#pending.has(`${server} ${this.#next}`));
    return this.#next;
  }

  /** Opened with the first question, and again after a failure. */
  #open(): Promise<UdpSocket> {
    this.#socket ??= bindInside(this.#network, { host: "0.0.0.0", port: 0 }).then(
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

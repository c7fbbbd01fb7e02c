import type { RemoteInfo, Socket as UdpSocket } from "node:dgram";
import type { Server, Socket } from "node:net";
import type { Answer, Query } from "./message.ts";
import { readQuery, responseCodes, writeFormatError, writeResponse } from "./message.ts";
import type { LookupTable } from "./table.ts";

/** How a question came. */
export type Transport = "udp" | "tcp";

/** Where questions about other names go. */
export interface Forwarder {
  /** The response of the host's name servers to a question put the same way, or undefined when none of them answers. */
  forward(query: Uint8Array, transport: Transport, signal: AbortSignal): Promise<Uint8Array | undefined>;
}

/** The largest message over TCP. */
const tcpSize = 65_535;
/** Connections and bytes of one client that are waited for are bounded; a Pod harms only itself. */
const maxConnections = 64;
/** Questions of a Pod's programs on their way to the host's name servers at once: others' must not wait behind them. */
const maxOfPrograms = 64;
const idleMs = 10_000;

/** A Pod's name server, on sockets that were bound in its namespace. */
export class DnsServer implements Disposable {
  readonly #udp: UdpSocket;
  readonly #tcp: Server;
  readonly #forwarder: Forwarder;
  readonly #maxForwarded: number;
  readonly #connections = new Set<Socket>();
  readonly #end = new AbortController();
  #table: LookupTable | undefined;
  #turn = 0;
  #forwarded = 0;

  /** @param maxForwarded questions on their way to the host's name servers at once; more are refused. */
  constructor(
    sockets: { readonly udp: UdpSocket; readonly tcp: Server },
    forwarder: Forwarder,
    maxForwarded = maxOfPrograms,
  ) {
    this.#maxForwarded = maxForwarded;
    this.#udp = sockets.udp;
    this.#tcp = sockets.tcp;
    this.#forwarder = forwarder;
    this.#udp.on("message", (bytes, from) => {
      void this.#reply(bytes, from);
    });
    // A client that is gone by the time of its answer is no fault of the server.
    this.#udp.on("error", () => undefined);
    this.#tcp.on("error", () => undefined);
    this.#tcp.on("connection", (socket) => this.#accept(socket));
    this.#tcp.maxConnections = maxConnections;
  }

  /** Sets the names; until then every question fails, so that clients ask again. */
  setTable(table: LookupTable): void {
    this.#table = table;
  }

  async #reply(bytes: Uint8Array, from: RemoteInfo): Promise<void> {
    const response = await this.answer(bytes, "udp");
    if (response !== undefined && !this.#end.signal.aborted) this.#udp.send(response, from.port, from.address);
  }

  /** The response to a message; undefined for what is not even a broken query. */
  async answer(bytes: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    let query: Query;
    try {
      query = readQuery(bytes);
    } catch {
      return writeFormatError(bytes);
    }
    const maxSize = transport === "tcp" ? tcpSize : query.udpSize;
    if (query.opcode !== 0) return writeResponse(query, { code: responseCodes.notImplemented, maxSize });
    if (this.#table === undefined) return writeResponse(query, { code: responseCodes.serverFailure, maxSize });
    const answers = this.#table.answers(query.name, query.type);
    if (answers !== undefined)
      return writeResponse(query, {
        code: responseCodes.ok,
        answers: this.#rotated(answers),
        authoritative: true,
        maxSize,
      });
    if (this.#table.owns(query.name))
      return writeResponse(query, { code: responseCodes.noSuchName, authoritative: true, maxSize });
    const forwarded = await this.#forward(bytes, transport);
    if (forwarded === undefined) return writeResponse(query, { code: responseCodes.serverFailure, maxSize });
    // What is too long for the client is asked for again over TCP.
    return forwarded.length <= maxSize
      ? forwarded
      : writeResponse(query, { code: responseCodes.ok, cut: true, maxSize });
  }

  async #forward(query: Uint8Array, transport: Transport): Promise<Uint8Array | undefined> {
    if (this.#forwarded >= this.#maxForwarded) return undefined;
    this.#forwarded += 1;
    try {
      return await this.#forwarder.forward(query, transport, this.#end.signal);
    } finally {
      this.#forwarded -= 1;
    }
  }

  /** Addresses in another order each time, so that clients that take the first one spread. */
  #rotated(answers: readonly Answer[]): readonly Answer[] {
    const names = answers.filter(({ kind }) => kind === "cname");
    const addresses = answers.filter(({ kind }) => kind === "a");
    if (addresses.length < 2) return answers;
    this.#turn = (this.#turn + 1) % addresses.length;
    return [...names, ...addresses.slice(this.#turn), ...addresses.slice(0, this.#turn)];
  }

  #accept(socket: Socket): void {
    this.#connections.add(socket);
    socket.setTimeout(idleMs, () => socket.destroy());
    socket.once("close", () => this.#connections.delete(socket));
    socket.on("error", () => undefined);
    void this.#converse(socket).catch(() => socket.destroy());
    socket.resume();
  }

  /** Messages over TCP follow each other, each after its length in two bytes. */
  async #converse(socket: Socket): Promise<void> {
    let rest = Buffer.alloc(0);
    for await (const chunk of socket as AsyncIterable<Buffer>) {
      rest = Buffer.concat([rest, chunk]);
      while (rest.length >= 2 && rest.length >= 2 + rest.readUInt16BE(0)) {
        const end = 2 + rest.readUInt16BE(0);
        const response = await this.answer(rest.subarray(2, end), "tcp");
        rest = rest.subarray(end);
        if (response === undefined) {
          socket.destroy();
          return;
        }
        const length = Buffer.alloc(2);
        length.writeUInt16BE(response.length);
        socket.write(Buffer.concat([length, response]));
      }
    }
    socket.end();
  }

  [Symbol.dispose](): void {
    this.#end.abort();
    this.#udp.close();
    this.#tcp.close();
    for (const socket of this.#connections) socket.destroy();
  }
}

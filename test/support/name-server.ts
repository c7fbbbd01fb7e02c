import type { Socket } from "node:dgram";
import type { Server } from "node:net";
import { readQuery, recordTypes, responseCodes, writeResponse } from "#agent/dns/message.ts";
import { namespacePath } from "#runtime/namespace.ts";
import { bindInside, serveInside } from "#runtime/namespace-socket.ts";

/** Where a name server of a host listens, on its loopback. */
export const nameServerAddress = "127.0.0.1";

const port = 53;

/** A name server for the programs of one host that knows a few names, whose answers hold for a second. */
export class NameServer implements Disposable {
  /** Every name that was asked for, in the order of questions. */
  readonly asked: string[] = [];
  readonly #socket: Socket;
  readonly #addresses: ReadonlyMap<string, string>;
  #streams: Server | undefined;

  private constructor(socket: Socket, addresses: ReadonlyMap<string, string>) {
    this.#socket = socket;
    this.#addresses = addresses;
    socket.on("message", (bytes, from) => {
      // Where there are streams, `large.` names are told over them alone.
      const cut = this.#streams !== undefined && readQuery(bytes).name.startsWith("large.");
      socket.send(this.#answer(bytes, cut), from.port, from.address);
    });
    // Whoever asked may be gone by now.
    socket.on("error", () => undefined);
  }

  /**
   * @param addresses read anew for each question, so that they can be changed.
   * @param host on which of the namespace's addresses it listens; the loopback one unless told.
   */
  static async start(
    namespace: string,
    addresses: ReadonlyMap<string, string>,
    host = nameServerAddress,
  ): Promise<NameServer> {
    return new NameServer(await bindInside(namespacePath(namespace), { host, port }), addresses);
  }

  /** A name server of this machine, over UDP and TCP. Names that start with `large.` are told over TCP alone. */
  static async ofMachine(host: string, addresses: ReadonlyMap<string, string>): Promise<NameServer> {
    const { udp, tcp } = await serveInside("/proc/self/ns/net", { host, port });
    const made = new NameServer(udp, addresses);
    made.#streams = tcp;
    tcp.on("connection", (socket) => {
      socket.on("error", () => undefined);
      socket.once("data", (bytes: Buffer) => {
        const answer = made.#answer(bytes.subarray(2), false);
        const length = Buffer.alloc(2);
        length.writeUInt16BE(answer.length);
        socket.end(Buffer.concat([length, answer]));
      });
      socket.resume();
    });
    return made;
  }

  #answer(bytes: Uint8Array, cut: boolean): Buffer {
    const query = readQuery(bytes);
    this.asked.push(query.name);
    const address = this.#addresses.get(query.name);
    const answers =
      address !== undefined && query.type === recordTypes.a && !cut
        ? [{ kind: "a" as const, name: query.name, address, ttl: 1 }]
        : [];
    const code = address === undefined ? responseCodes.noSuchName : responseCodes.ok;
    return writeResponse(query, { code, answers, maxSize: query.udpSize, cut });
  }

  [Symbol.dispose](): void {
    this.#socket.close();
    this.#streams?.close();
  }
}

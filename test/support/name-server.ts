import type { Socket } from "node:dgram";
import { readQuery, recordTypes, responseCodes, writeResponse } from "#agent/dns/message.ts";
import { namespacePath } from "#runtime/namespace.ts";
import { bindInside } from "#runtime/namespace-socket.ts";

/** Where a name server of a host listens, on its loopback. */
export const nameServerAddress = "127.0.0.1";

/** A name server for the programs of one host that knows a few names, whose answers hold for a second. */
export class NameServer implements Disposable {
  /** Every name that was asked for, in the order of questions. */
  readonly asked: string[] = [];
  readonly #socket: Socket;

  private constructor(socket: Socket, addresses: ReadonlyMap<string, string>) {
    this.#socket = socket;
    socket.on("message", (bytes, from) => {
      const query = readQuery(bytes);
      this.asked.push(query.name);
      const address = addresses.get(query.name);
      const answers =
        address !== undefined && query.type === recordTypes.a
          ? [{ kind: "a" as const, name: query.name, address, ttl: 1 }]
          : [];
      const code = address === undefined ? responseCodes.noSuchName : responseCodes.ok;
      socket.send(writeResponse(query, { code, answers, maxSize: query.udpSize }), from.port, from.address);
    });
    // Whoever asked may be gone by now.
    socket.on("error", () => undefined);
  }

  /** @param addresses read anew for each question, so that they can be changed. */
  static async start(namespace: string, addresses: ReadonlyMap<string, string>): Promise<NameServer> {
    return new NameServer(await bindInside(namespacePath(namespace), { host: nameServerAddress, port: 53 }), addresses);
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }
}

import { Agent, type ClientRequestArgs } from "node:http";
import type { Duplex } from "node:stream";
import { connectInside } from "#runtime/namespace-socket.ts";

/** Connections to programs of a Pod, which are made inside of its network; kept, since each is made by a process of its own. */
export class InsideAgent extends Agent {
  readonly #network: string;

  constructor(network: string) {
    super({ keepAlive: true, maxSockets: 4, maxFreeSockets: 2 });
    this.#network = network;
  }

  override createConnection(
    { host, port }: ClientRequestArgs,
    made: (error: Error | null, stream: Duplex) => void = () => undefined,
  ): undefined {
    connectInside(this.#network, { host: host ?? "127.0.0.1", port: Number(port) }).then(
      (socket) => made(null, socket),
      (error: Error) => (made as (error: Error) => void)(error),
    );
  }
}

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";

/** Leads a connection on to a port of loopback. @returns the connection to it. */
export function leadOn(from: Socket, port: number): Socket {
  const to = connect({ host: "127.0.0.1", port });
  for (const [one, other] of [
    [from, to],
    [to, from],
  ] as const) {
    one.on("error", () => undefined).once("close", () => other.destroy());
    one.pipe(other);
  }
  return to;
}

/** A way to a server of this machine that can be cut and mended, as a network's can. */
export class Gate implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #open = true;

  private constructor(port: number) {
    this.#server = createServer((from) => {
      if (!this.#open) {
        from.destroy();
        return;
      }
      for (const socket of [from, leadOn(from, port)]) {
        this.#sockets.add(socket);
        socket.once("close", () => this.#sockets.delete(socket));
      }
    });
  }

  /** @param url of the server; only its port is used. */
  static async to(url: string): Promise<Gate> {
    const gate = new Gate(Number(new URL(url).port));
    await once(gate.#server.listen(0, "127.0.0.1"), "listening");
    return gate;
  }

  /** What leads through it. */
  get url(): string {
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  /** Ends all connections and refuses new ones. */
  cut(): void {
    this.#open = false;
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lets connections through again. */
  mend(): void {
    this.#open = true;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

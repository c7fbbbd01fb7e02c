import { once } from "node:events";
import { connect, createServer, type Server, type Socket } from "node:net";

/** One address of several servers, as that of a Service is: each connection goes to one that takes it. */
export class Balancer implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  #turn = 0;

  private constructor(backends: readonly string[]) {
    this.#server = createServer({ allowHalfOpen: false }, (from) => {
      this.#turn += 1;
      const order = backends.map((_, index) => backends[(this.#turn + index) % backends.length]!);
      this.#lead(from, order);
    });
  }

  /** @param path of the Unix socket that leads to them. @param backends Unix sockets of the servers. */
  static async listen(path: string, backends: readonly string[]): Promise<Balancer> {
    const balancer = new Balancer(backends);
    await once(balancer.#server.listen(path), "listening");
    return balancer;
  }

  #lead(from: Socket, [path, ...others]: readonly string[]): void {
    this.#keep(from);
    if (path === undefined) {
      from.destroy();
      return;
    }
    const to = connect({ path });
    to.once("error", () => this.#lead(from, others));
    to.once("connect", () => {
      to.removeAllListeners("error");
      this.#keep(to);
      for (const [one, other] of [
        [from, to],
        [to, from],
      ] as const) {
        one.once("close", () => other.destroy());
        one.pipe(other);
      }
    });
  }

  #keep(socket: Socket): void {
    if (this.#sockets.has(socket)) return;
    this.#sockets.add(socket);
    socket.on("error", () => undefined).once("close", () => this.#sockets.delete(socket));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }
}

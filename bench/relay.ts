import { rmSync } from "node:fs";
import { connect, createServer, type Server, type Socket } from "node:net";

/** Bytes of HTTP/2 that are no message: settings, pings, window updates. */
const smallBytes = 100;

/**
 * Passes bytes between a Unix socket and a loopback port, and knows when a client was given the last of what it was told, and
 * when it answered.
 */
export class Relay implements AsyncDisposable {
  /** When the client was last given more than a few bytes, in nanoseconds of the monotonic clock. */
  toldAt = 0n;
  /** When it first said something after that. */
  answeredAt = 0n;
  /** Bytes to the client since the mark. */
  bytes = 0;
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();

  private constructor(port: number) {
    this.#server = createServer((client) => this.#join(client, connect({ host: "127.0.0.1", port })));
  }

  static async listen(socketPath: string, port: number): Promise<Relay> {
    const relay = new Relay(port);
    rmSync(socketPath, { force: true });
    await new Promise<void>((resolve, reject) => {
      relay.#server.once("error", reject).listen(socketPath, resolve);
    });
    return relay;
  }

  /** Counts from now on. */
  mark(): void {
    this.bytes = 0;
    this.toldAt = 0n;
    this.answeredAt = 0n;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #join(client: Socket, server: Socket): void {
    for (const [from, to] of [
      [client, server],
      [server, client],
    ] as const) {
      this.#sockets.add(from);
      from.on("error", () => undefined);
      from.on("close", () => {
        this.#sockets.delete(from);
        to.destroy();
      });
    }
    server.on("data", (bytes: Buffer) => {
      client.write(bytes);
      this.bytes += bytes.length;
      if (bytes.length < smallBytes) return;
      this.toldAt = process.hrtime.bigint();
      this.answeredAt = 0n;
    });
    client.on("data", (bytes: Buffer) => {
      server.write(bytes);
      if (this.toldAt > 0n && this.answeredAt === 0n) this.answeredAt = process.hrtime.bigint();
    });
  }
}

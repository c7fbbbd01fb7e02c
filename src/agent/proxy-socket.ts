import { chmodSync, chownSync, mkdirSync, rmSync } from "node:fs";
import { dirname } from "node:path";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { WeftError } from "#base/errors.ts";

/** Something that a proxy is served. */
export interface ProxyService {
  /** Adds its methods to the server of the proxy's socket. */
  register(server: Server): void;
  /** Lets go of what it holds; its streams have ended. */
  [Symbol.dispose](): void;
}

/** The socket of one proxy. */
export interface ProxySocketOptions {
  /** Path of the Unix socket; its folder is made for the proxy alone. */
  readonly socket: string;
  /** The proxy's user and group. */
  readonly uid: number;
  readonly gid: number;
  readonly services: readonly ProxyService[];
}

/** Bytes of a message: resources of a large mesh come as one. */
const anySize = { "grpc.max_receive_message_length": -1, "grpc.max_send_message_length": -1 };

/**
 * All that the agent serves to one proxy. No other user can reach the socket, and no other proxy sees it: who comes by it is that
 * proxy.
 */
export class ProxySocket implements AsyncDisposable {
  readonly #server = new Server(anySize);
  readonly #services: readonly ProxyService[];

  private constructor(services: readonly ProxyService[]) {
    this.#services = services;
    for (const service of services) service.register(this.#server);
  }

  /**
   * Opens the socket; one that an earlier agent left is replaced.
   * @throws WeftError `Unavailable` when it cannot be opened.
   */
  static async open({ socket, uid, gid, services }: ProxySocketOptions): Promise<ProxySocket> {
    const own = new ProxySocket(services);
    const folder = dirname(socket);
    mkdirSync(folder, { recursive: true, mode: 0o700 });
    chmodSync(folder, 0o700);
    chownSync(folder, uid, gid);
    rmSync(socket, { force: true });
    await new Promise<void>((resolve, reject) => {
      own.#server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => {
        if (error === null) resolve();
        else reject(new WeftError("Unavailable", `the proxy's socket ${socket} could not be opened`, error));
      });
    });
    // The folder keeps others out; this is for whoever looks at the socket alone.
    chmodSync(socket, 0o600);
    chownSync(socket, uid, gid);
    return own;
  }

  /** Ends all streams and closes the socket. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#server.forceShutdown();
    for (const service of this.#services) service[Symbol.dispose]();
    return Promise.resolve();
  }
}

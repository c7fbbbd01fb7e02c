import type { ChildProcess } from "node:child_process";
import { Socket } from "node:net";
import { join } from "node:path";
import { namespacePath } from "#runtime/namespace.ts";
import { spawnInside } from "#runtime/namespace-socket.ts";

/** Asks the child for a connection. */
export interface ConnectRequest {
  readonly id: number;
  readonly host: string;
  readonly port: number;
}

/** What became of it; the connection comes along. */
export interface ConnectReply {
  readonly id: number;
  readonly problem?: string;
}

/** Opens TCP connections from inside a network namespace, by one child that lives as long as this does. */
export class Connector implements Disposable {
  readonly #child: ChildProcess;
  readonly #waiting = new Map<number, PromiseWithResolvers<Socket>>();
  #last = 0;

  /** @param namespace name of the network namespace. */
  constructor(namespace: string) {
    const script = join(import.meta.dirname, "connector-child.ts");
    this.#child = spawnInside(namespacePath(namespace), script, [], { detached: false, output: "inherit" });
    this.#child.on("message", (message, handle) => this.#settle(message as ConnectReply, handle));
    this.#child.once("exit", () => {
      for (const { reject } of this.#waiting.values()) reject(new Error("the connector has ended"));
    });
  }

  /** @throws Error with the system's words when the connection fails. */
  connect(host: string, port: number): Promise<Socket> {
    this.#last += 1;
    const waiting = Promise.withResolvers<Socket>();
    this.#waiting.set(this.#last, waiting);
    const request: ConnectRequest = { id: this.#last, host, port };
    this.#child.send(request);
    return waiting.promise;
  }

  [Symbol.dispose](): void {
    this.#child.kill("SIGKILL");
  }

  #settle({ id, problem }: ConnectReply, handle: unknown): void {
    const waiting = this.#waiting.get(id);
    this.#waiting.delete(id);
    if (handle instanceof Socket) waiting?.resolve(handle);
    else waiting?.reject(new Error(problem ?? "the connection was lost on its way"));
  }
}

import { fork, type ChildProcess, type StdioOptions } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";

/**
 * The `wrapper` of a child that gets a network and a namespace of processes of its own: its ports are nobody else's, and
 * what it starts, such as an Envoy, ends with it.
 */
export const ownNamespaces: readonly string[] = [
  "unshare",
  "--net",
  "--pid",
  "--fork",
  "--kill-child",
  "sh",
  "-c",
  'ip link set lo up && exec "$0" "$@"',
];

/** A forked program of this folder with which messages are exchanged one by one. */
export class Child<Request extends { readonly kind: string }, Answer extends { readonly kind: string }> {
  readonly #process: ChildProcess;
  readonly #answers: Answer[] = [];
  #waiting: (() => void) | undefined;
  #exited = false;

  /** @param wrapper a command that runs the program, with its first arguments. */
  constructor(file: string, args: readonly string[] = [], wrapper: readonly string[] = []) {
    const stdio: StdioOptions = ["ignore", "inherit", "inherit", "ipc"];
    const [command, ...words] = wrapper;
    this.#process = fork(join(import.meta.dirname, file), args, {
      stdio,
      ...(command !== undefined && { execPath: command, execArgv: [...words, process.execPath] }),
    });
    this.#process.on("message", (answer: Answer) => {
      this.#answers.push(answer);
      this.#waiting?.();
    });
    this.#process.on("exit", () => {
      this.#exited = true;
      this.#waiting?.();
    });
  }

  /** The process's id. */
  get pid(): number {
    return this.#process.pid ?? 0;
  }

  send(request: Request): void {
    this.#process.send(request);
  }

  /** Waits for an answer of a kind; any other is an error, such as that a stream ended. */
  async answer<K extends Answer["kind"]>(kind: K): Promise<Extract<Answer, { kind: K }>> {
    for (;;) {
      const next = this.#answers.shift();
      if (next?.kind === kind) return next as Extract<Answer, { kind: K }>;
      if (next) throw new Error(`instead of '${kind}' a benchmark's process said ${JSON.stringify(next)}`);
      if (this.#exited) throw new Error(`a benchmark's process ended before it answered '${kind}'`);
      await new Promise<void>((resolve) => {
        this.#waiting = resolve;
      });
    }
  }

  /** Sends and waits for the answer. */
  async ask<K extends Answer["kind"]>(request: Request, kind: K): Promise<Extract<Answer, { kind: K }>> {
    this.send(request);
    return await this.answer(kind);
  }

  /** Ends the process and waits until it is gone. */
  async end(): Promise<void> {
    if (this.#exited) return;
    const gone = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await gone;
  }
}

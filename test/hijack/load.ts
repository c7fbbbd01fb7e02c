import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { join } from "node:path";
import { inside, namespacePath } from "#runtime/namespace.ts";

/** What a load has seen. */
export interface Seen {
  readonly requests: number;
  /** Words that were said on connections that stay. */
  readonly words: number;
  readonly problems: readonly string[];
}

/** Whom a load calls, and who is to answer. */
export interface LoadTarget {
  /** Name of the network namespace that it calls from. */
  readonly from: string;
  readonly host: string;
  readonly httpPort: number;
  /** A port that says again what it hears. */
  readonly rawPort: number;
  /** By whom requests are to be answered. */
  readonly by: string;
}

const program = join(import.meta.dirname, "load-main.ts");

/** New connections and ones that stay, fifty requests a second without a second try. */
export class Load implements AsyncDisposable {
  readonly #child: ChildProcess;

  private constructor(child: ChildProcess) {
    this.#child = child;
  }

  static async start({ from, host, httpPort, rawPort, by }: LoadTarget): Promise<Load> {
    const words = [process.execPath, program, host, String(httpPort), String(rawPort), by];
    const [command, ...args] = inside(namespacePath(from), words);
    const child = spawn(command, args, { stdio: ["ignore", "inherit", "inherit", "ipc"] });
    await once(child, "message");
    return new Load(child);
  }

  /** Ends it; those that were silent speak once more before. */
  async finish(): Promise<Seen> {
    const seen = once(this.#child, "message");
    this.#child.send("finish");
    const [message] = (await seen) as [Seen];
    return message;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null || this.#child.signalCode !== null) return;
    const ended = once(this.#child, "exit");
    this.#child.kill("SIGKILL");
    await ended;
  }
}

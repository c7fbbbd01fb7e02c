import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createInterface } from "node:readline";
import { inside, namespacePath } from "#runtime/namespace.ts";

/** All that is measured runs before what else the machine does: without it, the slowest of a hundred requests are noise. */
export const priority: readonly string[] = ["chrt", "--rr", "5"];

/** A program in a network namespace that is asked, and answers, by lines. */
export class Program implements AsyncDisposable {
  readonly #process: ChildProcess;
  readonly #lines: AsyncIterator<string>;
  readonly #name: string;

  constructor(namespace: string, argv: readonly string[]) {
    this.#name = argv[0] ?? "";
    const [command, ...words] = inside(namespacePath(namespace), [...priority, ...argv]);
    this.#process = spawn(command, words, { stdio: ["pipe", "pipe", "inherit"] });
    if (!this.#process.stdout) throw new Error(`${this.#name} has no output`);
    this.#lines = createInterface({ input: this.#process.stdout })[Symbol.asyncIterator]();
  }

  get pid(): number {
    return this.#process.pid ?? 0;
  }

  /** The next line that it says. */
  async line(): Promise<string> {
    const next = await this.#lines.next();
    if (next.done) throw new Error(`${this.#name} has ended`);
    return next.value;
  }

  async ask(line: string): Promise<string> {
    this.#process.stdin?.write(`${line}\n`);
    return await this.line();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, "exit");
    this.#process.kill("SIGKILL");
    await ended;
  }
}

import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, existsSync, openSync, readFileSync } from "node:fs";
import { identityOf, isAlive, type ProcessIdentity } from "#runtime/identity.ts";
import { eventually } from "../support/eventually.ts";

/** A program that runs in the background. */
export interface DaemonSpec {
  /** What it is called in messages. */
  readonly name: string;
  readonly argv: readonly [string, ...string[]];
  /** Takes its output, which is added. */
  readonly log: string;
  /** Whether what is started has the program as its child, which ends soon after it. */
  readonly forks?: boolean;
}

/** Characters of a log that a failure shows. */
const shown = 3000;

/** The children of a process. */
function childrenOf(pid: number): readonly ProcessIdentity[] {
  const ids = readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
  return ids.map((id) => identityOf(Number(id))).filter((each) => each !== undefined);
}

/** A program in the background that can be stopped and started again. It ends with the process that started it, however that ends. */
export class Daemon implements AsyncDisposable {
  readonly name: string;
  readonly #spec: DaemonSpec;
  #child: ChildProcess | undefined;

  constructor(spec: DaemonSpec) {
    this.name = spec.name;
    this.#spec = spec;
  }

  /** Id of its process; 0 when it does not run. */
  get pid(): number {
    return this.#running ? (this.#child?.pid ?? 0) : 0;
  }

  get #running(): boolean {
    return this.#child?.exitCode === null && this.#child.signalCode === null;
  }

  /** The end of what it wrote. */
  get log(): string {
    return existsSync(this.#spec.log) ? readFileSync(this.#spec.log, "utf8").slice(-shown) : "";
  }

  /** Starts it, unless it runs. @returns itself. */
  start(): this {
    if (this.#running) return this;
    const log = openSync(this.#spec.log, "a");
    const argv = ["--pdeathsig", "KILL", "--", ...this.#spec.argv];
    this.#child = spawn("setpriv", argv, { stdio: ["ignore", log, log], cwd: "/" });
    this.#child.once("error", () => undefined);
    closeSync(log);
    return this;
  }

  /** Ends it with a signal and waits until it has. One that is not over after the grace (10 s unless told) is killed. */
  async stop(signal: NodeJS.Signals = "SIGKILL", graceMs = 10_000): Promise<void> {
    const child = this.#child;
    if (child === undefined || !this.#running) return;
    const programs = this.#spec.forks ? childrenOf(this.pid) : [];
    const ended = new Promise((resolve) => {
      child.once("exit", resolve);
    });
    child.kill(signal);
    const late = setTimeout(() => child.kill("SIGKILL"), graceMs);
    await ended;
    clearTimeout(late);
    // Who starts it anew finds its sockets, ports and locks free.
    await eventually(`${this.name} has ended`, () => !programs.some(isAlive));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }
}

/**
 * Waits until something is true that some daemons bring about.
 * @param patience milliseconds.
 * @throws Error with the ends of their logs, at once when one of them has ended.
 */
export async function whileRunning<V>(
  daemons: readonly Daemon[],
  what: string,
  check: () => V | Promise<V>,
  patience = 120_000,
): Promise<void> {
  const logs = (some: readonly Daemon[]): string => some.map(({ name, log }) => `--- ${name}\n${log}`).join("\n");
  try {
    const dead = await eventually(
      what,
      async () => daemons.find(({ pid }) => pid === 0) ?? ((await check()) ? "true" : undefined),
      patience,
    );
    if (dead !== "true") throw new Error(`${dead.name} has ended`);
  } catch (fault) {
    throw new Error(`not seen: ${what}\n${logs(daemons)}`, { cause: fault });
  }
}

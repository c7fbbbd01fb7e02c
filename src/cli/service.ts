import { type ChildProcess, type StdioOptions, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import { Backoff } from "#base/backoff.ts";
import type { Clock } from "#base/clock.ts";

/** How to start one of the command line's own processes. */
export interface ServiceSpec {
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
  /** Takes standard output and error, unless `onLine` takes standard output. */
  readonly logFile: string;
  /** Called with each line of standard output. */
  readonly onLine?: (line: string) => void;
  /** Files that the child finds from descriptor 3 on. */
  readonly files?: readonly number[];
}

/** The command, with the settings of Node that all its processes run with. */
export const weftProgram = join(import.meta.dirname, "..", "..", "weft");

/** `weft` with arguments. */
export function weftService(name: string, args: readonly string[], logFile: string): ServiceSpec {
  return { name, command: weftProgram, args, logFile };
}

/** Flags with their values, in order. */
export function flagArgs(values: Readonly<Record<string, string>>): readonly string[] {
  return Object.entries(values).flatMap(([flag, value]) => [`--${flag}`, value]);
}

/**
 * A child that is started again whenever it ends, sooner or later by how often it did, until it is stopped.
 * The supervisor notices ends at once, as a parent does.
 */
export class Service {
  readonly spec: ServiceSpec;
  readonly #clock: Clock;
  readonly #changed: (service: Service, event: string) => void;
  readonly #backoff = new Backoff({ initialMs: 100, maxMs: 5_000 });
  #child: ChildProcess | undefined;
  #stopped = false;
  #restart: Disposable | undefined;
  #startedAt = 0;

  /** @param changed called when the child has started or ended, with what happened. */
  constructor(spec: ServiceSpec, clock: Clock, changed: (service: Service, event: string) => void) {
    this.spec = spec;
    this.#clock = clock;
    this.#changed = changed;
  }

  /** The child's process id while it runs. */
  get pid(): number | undefined {
    return this.#child?.exitCode === null && this.#child.signalCode === null ? this.#child.pid : undefined;
  }

  /** Starts the child. */
  start(): void {
    const { command, args, env, logFile, onLine, files = [] } = this.spec;
    const log = openSync(logFile, "a", 0o600);
    const stdio: StdioOptions = ["pipe", onLine ? "pipe" : log, log, ...files];
    // A group of its own: Ctrl-C on the terminal reaches the supervisor alone, which then ends things in order.
    const child = spawn(command, args, { stdio, detached: true, env: { ...process.env, ...env } });
    closeSync(log);
    this.#child = child;
    this.#startedAt = this.#clock.monotonic();
    if (onLine && child.stdout) readLines(child.stdout, onLine);
    child.once("error", (error) => this.#ended(`could not start: ${error.message}`));
    child.once("exit", (code, signal) =>
      this.#ended(signal === null ? `exited with ${code}` : `was ended by ${signal}`),
    );
    if (child.pid !== undefined) this.#changed(this, "started");
  }

  /** Writes a line to the child's standard input; a child that is away misses it. */
  send(line: string): void {
    const input = this.#child?.stdin;
    if (this.pid !== undefined && input?.writable) input.write(`${line}\n`);
  }

  /** Ends the child for good: SIGTERM, and SIGKILL after the grace. */
  async stop(graceMs: number): Promise<void> {
    this.#stopped = true;
    this.#restart?.[Symbol.dispose]();
    const child = this.#child;
    if (this.pid === undefined || !child) return;
    const ended = new Promise<void>((resolve) => {
      child.once("exit", () => resolve());
    });
    child.kill("SIGTERM");
    using _kill = this.#clock.after(graceMs, () => child.kill("SIGKILL"));
    await ended;
  }

  #ended(how: string): void {
    if (this.#stopped) return;
    if (this.#clock.monotonic() - this.#startedAt > 30_000) this.#backoff.reset();
    const wait = this.#backoff.next();
    this.#changed(this, how);
    this.#restart = this.#clock.after(wait, () => this.start());
  }
}

function readLines(stream: NodeJS.ReadableStream, onLine: (line: string) => void): void {
  let rest = "";
  stream.setEncoding("utf8");
  stream.on("data", (chunk: string) => {
    const lines = (rest + chunk).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) onLine(line);
  });
}

import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/clock.ts";
import { killProcess, processState, startProcess, stopProcess } from "#runtime/process.ts";

/** Milliseconds between an end and the next start. */
const pauseMs = 1000;
/** Milliseconds that a process gets to end by itself. */
const graceMs = 10_000;
/** Size at which a log is put aside. */
const logBytes = 16 * 1024 * 1024;
/** Starts whose logs are kept. */
const kept = 3;

interface Start {
  readonly folder: string;
  readonly number: number;
}

/**
 * One of a mesh's processes. It outlives whoever started it, and is known again by its folder, which has one folder for each of its
 * starts. So each of these can be asked for again at any time, by whoever comes next.
 */
export class KeptProcess {
  readonly #folder: string;
  readonly #clock: Clock;

  constructor(folder: string, clock: Clock) {
    this.#folder = folder;
    this.#clock = clock;
  }

  /** Has it running with these arguments: it is started, or started anew where it runs with others or has ended. */
  async ensure(argv: readonly [string, ...string[]], env: Readonly<Record<string, string>>): Promise<void> {
    const last = this.#starts().at(-1);
    const state = last && processState(last.folder);
    const same = last !== undefined && this.#argv(last) === JSON.stringify(argv);
    if (state?.kind === "running" && same) return;
    // A start that nobody saw the end of goes on: there is one for each folder.
    if (last && same && (state?.kind === "absent" || state?.kind === "starting")) return this.#start(last, argv, env);
    if (state?.kind === "exited" && same && this.#clock.now() - state.finishedAt < pauseMs) return undefined;
    await this.#end();
    const number = (last?.number ?? 0) + 1;
    return this.#start({ folder: join(this.#folder, String(number)), number }, argv, env);
  }

  /** Why it does not run, by the end of its log; undefined where it does. */
  trouble(): string | undefined {
    const last = this.#starts().at(-1);
    const state = last && processState(last.folder);
    if (state?.kind === "running" || state?.kind === "starting") return undefined;
    const log = last && join(last.folder, "log");
    const lines = log !== undefined && existsSync(log) ? readFileSync(log, "utf8").trimEnd().split("\n") : [];
    return `it does not run${lines.length > 0 ? `: ${lines.at(-1)}` : ""}`;
  }

  /** Ends it at once, where it runs: `ensure` starts it anew. */
  kill(): void {
    const last = this.#starts().at(-1);
    if (last) killProcess(last.folder);
  }

  /** Ends it for good, with all that is kept of it. */
  async remove(): Promise<void> {
    await this.#end();
    rmSync(this.#folder, { recursive: true, force: true });
  }

  async #start(
    start: Start,
    argv: readonly [string, ...string[]],
    env: Readonly<Record<string, string>>,
  ): Promise<void> {
    mkdirSync(start.folder, { recursive: true, mode: 0o700 });
    const file = join(start.folder, "argv.json");
    writeFileSync(`${file}.new`, JSON.stringify(argv), { mode: 0o600 });
    renameSync(`${file}.new`, file);
    for (const { folder } of this.#starts().slice(0, -kept)) rmSync(folder, { recursive: true, force: true });
    const { folder } = start;
    const notify = join(this.#folder, "notify");
    await startProcess(
      { folder, notify, argv, env, cwd: "/", network: "/proc/self/ns/net", mounts: [], logBytes },
      this.#clock,
    );
  }

  async #end(): Promise<void> {
    for (const { folder } of this.#starts()) await stopProcess(folder, { signal: "SIGTERM", graceMs }, this.#clock);
  }

  #argv({ folder }: Start): string | undefined {
    const file = join(folder, "argv.json");
    return existsSync(file) ? readFileSync(file, "utf8") : undefined;
  }

  /** Its starts, the last one last. */
  #starts(): readonly Start[] {
    if (!existsSync(this.#folder)) return [];
    const numbers = readdirSync(this.#folder).flatMap((name) => (/^\d+$/.test(name) ? [Number(name)] : []));
    return numbers.toSorted((a, b) => a - b).map((number) => ({ folder: join(this.#folder, String(number)), number }));
  }
}

import { spawn } from "node:child_process";
import { closeSync, mkdirSync, openSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { isAlive, signalProcess } from "./identity.ts";
import type { ProcessIdentity } from "./identity.ts";
import { shellScript } from "./script.ts";

/** A file of the host that a process sees in another place; nobody else does. */
export interface Mount {
  readonly source: string;
  readonly target: string;
}

/** What a process is started with. */
export interface ProcessSpec {
  /** Made by the start, must not exist; holds the process's state and its log. One start per folder. */
  readonly folder: string;
  /** A file that is touched when the process has started and when it has ended; may be shared by many. */
  readonly notify: string;
  readonly argv: readonly [string, ...string[]];
  /** The whole environment. */
  readonly env: Readonly<Record<string, string>>;
  readonly cwd: string;
  /** User; root unless told. */
  readonly uid?: number;
  /** Group; that of the user's number unless told. */
  readonly gid?: number;
  /** File of the network namespace. */
  readonly network: string;
  readonly mounts: readonly Mount[];
  /** Files `cgroup.procs` of the control groups that it and its supervisor are in; those of whoever starts it unless told. */
  readonly groups?: readonly string[];
  readonly hostname?: string;
  /** A file that the process gets open, as its file 3. */
  readonly inherit?: string;
  /** Size in bytes at which the log is put aside (`log.1`) and begun anew; so at most twice that is kept. */
  readonly logBytes: number;
}

/** How a process stands, as far as its folder and the kernel can tell. */
export type ProcessState =
  | { readonly kind: "absent" }
  /** Its supervisor is about to run it. */
  | { readonly kind: "starting" }
  | { readonly kind: "running"; readonly identity: ProcessIdentity; readonly startedAt: number }
  | {
      readonly kind: "exited";
      /** The exit code; 128 and the signal's number when a signal ended it, as a shell has it. */
      readonly code: number;
      /** Milliseconds since the epoch; the start is unknown when the program never ran. */
      readonly startedAt?: number;
      readonly finishedAt: number;
    }
  /** It is gone and its end was not recorded: its supervisor was killed, or the machine was started anew. */
  | { readonly kind: "lost"; readonly startedAt?: number };

interface Started {
  readonly shim: ProcessIdentity;
  readonly program: ProcessIdentity;
  readonly startedAt: number;
}

function readWords(path: string): readonly string[] | undefined {
  try {
    return readFileSync(path, "utf8").trim().split(" ");
  } catch {
    return undefined;
  }
}

function readSupervisor(folder: string): ProcessIdentity | undefined {
  const words = readWords(join(folder, "started"));
  return words === undefined
    ? undefined
    : { pid: Number(words[0]), startTicks: Number(words[1]), boot: words[2] ?? "" };
}

function readStarted(folder: string): Started | undefined {
  const words = readWords(join(folder, "pid"));
  if (words === undefined) return undefined;
  const [shim, shimTicks, pid, ticks] = words.slice(0, 4).map(Number);
  const boot = words[4] ?? "";
  return {
    shim: { pid: shim ?? 0, startTicks: shimTicks ?? 0, boot },
    program: { pid: pid ?? 0, startTicks: ticks ?? 0, boot },
    startedAt: Number(words[5]),
  };
}

/** How the process of a folder stands now. */
export function processState(folder: string): ProcessState {
  const started = readStarted(folder);
  const since = started === undefined ? {} : { startedAt: started.startedAt };
  // The supervisor records the end after the program has gone, so look at both before calling it lost.
  const alive = started !== undefined && (isAlive(started.program) || isAlive(started.shim));
  const end = readWords(join(folder, "exit"));
  if (end !== undefined) return { kind: "exited", code: Number(end[0]), finishedAt: Number(end[1]), ...since };
  if (started !== undefined && alive)
    return { kind: "running", identity: started.program, startedAt: started.startedAt };
  if (started !== undefined) return { kind: "lost", ...since };
  const supervisor = readSupervisor(folder);
  if (supervisor === undefined) return { kind: "absent" };
  return { kind: isAlive(supervisor) ? "starting" : "lost" };
}

/** How long a start may take before it counts as failed. */
const startTimeoutMs = 10_000;

/**
 * Starts a process that outlives the caller: a child of init in a session of its own, in the given network namespace and in
 * mount and UTS namespaces of its own. Resolves when it runs (or has already ended).
 * @throws WeftError `Unavailable` when the supervisor does not come up.
 */
export async function startProcess(spec: ProcessSpec, clock: Clock, signal?: AbortSignal): Promise<ProcessState> {
  mkdirSync(spec.folder, { recursive: true, mode: 0o700 });
  const script = join(spec.folder, "run.sh");
  // Whole or not at all: an earlier start of the same folder may be reading it.
  writeFileSync(`${script}.new`, shellScript(spec), { mode: 0o600 });
  renameSync(`${script}.new`, script);
  await launch(spec, script);
  const deadline = clock.monotonic() + startTimeoutMs;
  while (clock.monotonic() < deadline) {
    const state = processState(spec.folder);
    if (state.kind === "running" || state.kind === "exited") return state;
    await clock.sleep(5, signal);
  }
  const why = errorsOf(spec.folder);
  throw new WeftError("Unavailable", `${spec.argv[0]} did not start within ${startTimeoutMs / 1000} s: ${why}`);
}

function launch(spec: ProcessSpec, script: string): Promise<void> {
  const argv = [
    "--fork",
    "nsenter",
    `--net=${spec.network}`,
    "--",
    "unshare",
    "--mount",
    // Mounts made and removed on the host, such as those that name network namespaces, are followed; none go back.
    "--propagation=slave",
    "--uts",
    "--",
    "sh",
    script,
  ];
  // What goes wrong before the supervisor runs, and what its shell says, goes to a file: a pipe would end with us.
  const errors = openSync(join(spec.folder, "errors"), "a", 0o600);
  const third = spec.inherit === undefined ? undefined : openSync(spec.inherit, "r");
  const child = spawn("setsid", argv, { stdio: ["ignore", "ignore", errors, third ?? "ignore"], cwd: "/" });
  closeSync(errors);
  if (third !== undefined) closeSync(third);
  return new Promise((resolve, reject) => {
    child.once("error", (error) => reject(new WeftError("FailedPrecondition", "setsid could not be run", error)));
    child.once("exit", (code) => {
      if (code === 0) resolve();
      else reject(new WeftError("Internal", `setsid ended with code ${code}: ${errorsOf(spec.folder)}`));
    });
  });
}

function errorsOf(folder: string): string {
  return readFileSync(join(folder, "errors"), "utf8").trim();
}

/** How a process is stopped. */
export interface StopOptions {
  readonly signal: NodeJS.Signals;
  /** Milliseconds between the signal and the kill. */
  readonly graceMs: number;
}

/** Stops the process of a folder: the signal, then after the grace SIGKILL to its whole group. Resolves when it has ended. */
export async function stopProcess(folder: string, options: StopOptions, clock: Clock): Promise<ProcessState> {
  const state = await waitWhile(folder, "starting", startTimeoutMs, clock);
  if (state.kind !== "running") return state;
  signalProcess(state.identity, options.signal);
  const ended = await waitWhile(folder, "running", options.graceMs, clock);
  if (ended.kind !== "running") return ended;
  killProcess(folder);
  return waitWhile(folder, "running", 5000, clock);
}

/** Kills the process of a folder with all of its group, at once. */
export function killProcess(folder: string): void {
  const state = processState(folder);
  if (state.kind === "running") signalProcess(state.identity, "SIGKILL", true);
}

async function waitWhile(folder: string, kind: ProcessState["kind"], ms: number, clock: Clock): Promise<ProcessState> {
  const deadline = clock.monotonic() + ms;
  for (let wait = 5; ; wait = Math.min(wait * 2, 100)) {
    const state = processState(folder);
    const left = deadline - clock.monotonic();
    if (state.kind !== kind || left <= 0) return state;
    await clock.sleep(Math.min(wait, left));
  }
}

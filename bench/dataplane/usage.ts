/** What a request costs: CPU as the kernel counts it, and instructions where the machine can count them. */
import { spawn, spawnSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { text } from "node:stream/consumers";
import { gunzipSync } from "node:zlib";
import { treeUse } from "../process-tree.ts";

/** Milliseconds of CPU so far. */
export interface Cpu {
  readonly client: number;
  readonly server: number;
  /** Of both Envoys, both programs, and the kernel's work for their packets. */
  readonly all: number;
}

/** Ids of the processes of a pair; Envoys are absent where there is no mesh. */
export interface Pids {
  readonly envoys: { readonly client: number; readonly server: number } | undefined;
  readonly programs: readonly number[];
}

function isSoftInterruptThread(pid: string): boolean {
  try {
    return readFileSync(`/proc/${pid}/comm`, "utf8").startsWith("ksoftirqd/");
  } catch {
    return false;
  }
}

/** Kernel threads that do what is left of interrupts' work. */
const interruptThreads: readonly number[] = readdirSync("/proc")
  .filter((name) => /^\d+$/.test(name) && isSoftInterruptThread(name))
  .map(Number);

/** Whether the kernel leaves interrupts' work out of the time of the processes in which it happened to be done. */
const countedApart =
  existsSync("/proc/config.gz") &&
  gunzipSync(readFileSync("/proc/config.gz")).includes("\nCONFIG_IRQ_TIME_ACCOUNTING=y");

/** Such time of the whole machine. */
function interruptMs(): number {
  if (!countedApart) return 0;
  const [, , , , , , irq = 0, softirq = 0] = readFileSync("/proc/stat", "utf8").split(/\s+/).map(Number);
  return (irq + softirq) * 10;
}

const sum = (numbers: readonly number[]): number => numbers.reduce((total, each) => total + each, 0);

/** What a pair has used so far. */
export function cpuOf({ envoys, programs }: Pids): Cpu {
  const cpu = (pid: number): number => treeUse(pid).cpuMs;
  const [client, server] = envoys ? [cpu(envoys.client), cpu(envoys.server)] : [0, 0];
  const kernel = sum(interruptThreads.map(cpu)) + interruptMs();
  return { client, server, all: client + server + sum(programs.map(cpu)) + kernel };
}

/** Why this machine cannot count instructions; undefined where it can. */
export function withoutInstructions(): string | undefined {
  const { status, stderr } = spawnSync("perf", ["stat", "-x", ",", "-e", "instructions", "true"], { encoding: "utf8" });
  if (status === null) return "perf is not installed";
  return /^\d+,,instructions/m.test(stderr) ? undefined : "this machine has no counter of instructions";
}

/**
 * Counts the instructions of processes, those of the kernel for them included.
 * @returns what ends the count and says it.
 */
export async function countInstructions(pids: readonly number[]): Promise<() => Promise<number>> {
  const perf = spawn("perf", ["stat", "-x", ",", "-e", "instructions", "-p", pids.join(",")], {
    stdio: ["ignore", "ignore", "pipe"],
  });
  await once(perf, "spawn");
  return async () => {
    const said = text(perf.stderr);
    perf.kill("SIGINT");
    const counted = /^(\d+),,instructions/m.exec(await said)?.[1];
    if (counted === undefined) throw new Error("perf did not say how many instructions it counted");
    return Number(counted);
  };
}

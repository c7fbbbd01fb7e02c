import { existsSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { stopForwarder } from "#runtime/forwarder.ts";
import { removeHijacks } from "#runtime/hijack.ts";
import { killSandbox, sandboxesOf } from "#runtime/sandbox.ts";
import { removeNamespace } from "#runtime/namespace.ts";
import { processState } from "#runtime/process.ts";
import { signalProcess } from "#runtime/identity.ts";
import { BaseIds } from "./base-ids.ts";
import type { PodRecord } from "./records.ts";
import { baseIdFolder } from "./layout.ts";

/** Which instance is to go. */
export interface CleanupOptions {
  readonly instance: string;
  /** The folder that holds `agents/NODE/`. */
  readonly stateDir: string;
  /** The instance's Unix sockets. */
  readonly runDir: string;
}

function folders(path: string): readonly string[] {
  return existsSync(path) ? readdirSync(path).map((name) => join(path, name)) : [];
}

function readRecord(folder: string): PodRecord | undefined {
  try {
    return JSON.parse(readFileSync(join(folder, "pod.json"), "utf8")) as PodRecord;
  } catch {
    return undefined;
  }
}

/** Kills the processes that were started with these folders, by their recorded identity. */
function endProcesses(starts: readonly string[]): void {
  for (const start of starts) {
    const state = processState(start);
    if (state.kind === "running") signalProcess(state.identity, "SIGKILL", true);
  }
}

/** Ends the processes of one Pod, and gives back what it had of the machine. */
function endPod(folder: string): void {
  for (const container of folders(join(folder, "containers"))) endProcesses(folders(container));
  for (const forwarder of folders(join(folder, "forwarders"))) stopForwarder(forwarder);
  const baseId = readRecord(folder)?.baseId;
  if (baseId !== undefined) new BaseIds(baseIdFolder).free(baseId);
}

/**
 * Removes everything that the agents of an instance made, in whatever state they left it: processes of Pods, proxies and forwarders,
 * Pod namespaces, state. The agents themselves must have ended. Nothing there is no error.
 */
export async function cleanUpAgents(options: CleanupOptions): Promise<void> {
  const agents = join(options.stateDir, "agents");
  for (const agent of folders(agents)) {
    for (const pod of folders(join(agent, "pods"))) endPod(pod);
    endProcesses(folders(join(agent, "name-server")));
  }
  for (const name of sandboxesOf(options.instance)) {
    killSandbox(name);
    await removeNamespace(name);
  }
  removeHijacks(`${options.instance}-`);
  rmSync(join(options.runDir, "proxies"), { recursive: true, force: true });
  for (const socket of folders(options.runDir)) if (/\/node-[^/]*\.sock$/.test(socket)) rmSync(socket, { force: true });
  rmSync(agents, { recursive: true, force: true, maxRetries: 5, retryDelay: 50 });
}

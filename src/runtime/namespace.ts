import { existsSync, readdirSync, readlinkSync, statSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#base/errors.ts";
import { command } from "./command.ts";

/** Where iproute2 keeps named network namespaces. */
const folder = "/run/netns";

/** The file that stands for a named network namespace. */
export function namespacePath(name: string): string {
  return join(folder, name);
}

/** Whether a named network namespace exists. */
export function namespaceExists(name: string): boolean {
  return existsSync(namespacePath(name));
}

/** Names of all network namespaces that begin with a prefix. */
export function namespacesOf(prefix: string): readonly string[] {
  if (!existsSync(folder)) return [];
  return readdirSync(folder).filter((name) => name.startsWith(prefix));
}

/** A command line that runs another one inside a network namespace, given by its file; everything else stays the host's. */
export function inside(path: string, argv: readonly string[]): [string, ...string[]] {
  return ["nsenter", `--net=${path}`, "--", ...argv];
}

/** Makes a network namespace with its loopback interface up; one that exists is kept. */
export async function ensureNamespace(name: string): Promise<void> {
  try {
    await command(["ip", "netns", "add", name]);
  } catch (error) {
    // Another process may make the same one at the same moment.
    if (!messageOf(error).includes("File exists")) throw error;
  }
  await command(["ip", "-n", name, "link", "set", "lo", "up"]);
}

/** Takes a network namespace's name away; it goes when its last process has gone. None of that name is no error. */
export async function removeNamespace(name: string): Promise<void> {
  if (!namespaceExists(name)) return;
  try {
    await command(["ip", "netns", "delete", name]);
  } catch (error) {
    if (namespaceExists(name)) throw error;
  }
}

/** Runs `ip` commands, one a line, inside a named network namespace; stops at the first that fails. */
export async function ipBatch(name: string, lines: readonly string[]): Promise<void> {
  await command(["ip", "-n", name, "-batch", "-"], { input: `${lines.join("\n")}\n` });
}

/** What `ip -json` says inside a named network namespace. */
export async function ipJson<T>(name: string, args: readonly string[]): Promise<readonly T[]> {
  const text = await command(["ip", "-n", name, "-json", ...args]);
  return text.trim() === "" ? [] : (JSON.parse(text) as T[]);
}

/** Ids of all processes inside a named network namespace. */
export function processesIn(name: string): readonly number[] {
  if (!namespaceExists(name)) return [];
  const wanted = `net:[${statSync(namespacePath(name)).ino}]`;
  const found: number[] = [];
  for (const entry of readdirSync("/proc")) {
    if (!/^\d+$/.test(entry)) continue;
    try {
      if (readlinkSync(`/proc/${entry}/ns/net`) === wanted) found.push(Number(entry));
    } catch {
      // The process has ended meanwhile, or is the kernel's own.
    }
  }
  return found;
}

import { existsSync, readdirSync, rmSync, rmdirSync } from "node:fs";
import { dirname, join } from "node:path";
import { processesIn, removeNamespace } from "#runtime/namespace.ts";
import { outsideName } from "#runtime/outside.ts";
import { fabricName, removeFabric } from "#runtime/fabric.ts";
import { identityOf, signalProcess } from "#runtime/identity.ts";
import { cleanUpAgents } from "#agent/cleanup.ts";
import { baseIdFolder } from "#agent/layout.ts";
import type { Layout } from "./layout.ts";
import { endServices, readRecord, removeRecord } from "./record.ts";

/** What stays of an instance's state: all of it, only the logs (a start writes there already), or nothing. */
export type Kept = "all" | "logs" | "nothing";

function removeState(layout: Layout, kept: Kept): void {
  if (kept === "all" || !existsSync(layout.state)) return;
  for (const entry of readdirSync(layout.state)) {
    const path = join(layout.state, entry);
    if (kept === "nothing" || path !== layout.logs) rmSync(path, { recursive: true, force: true });
  }
  if (kept === "nothing") rmSync(layout.state, { recursive: true, force: true });
  else removeIfEmpty(layout.state);
}

function removeIfEmpty(folder: string): void {
  if (existsSync(folder) && readdirSync(folder).length === 0) rmdirSync(folder);
}

/**
 * Removes everything of an instance, in whatever state it is: its processes by their recorded identity, Pods, Envoys,
 * namespaces, sockets, and state unless kept. Nothing there is no error, so it also mends what a kill left.
 */
export async function tearDown(layout: Layout, kept: Kept): Promise<void> {
  const record = readRecord(layout);
  if (record) endServices(record);
  await cleanUpAgents({ instance: layout.name, stateDir: layout.state, runDir: layout.run });
  // Whatever still lives in the fabric was started by this instance: only its agents are.
  for (const pid of processesIn(fabricName(layout.name))) {
    const identity = identityOf(pid);
    if (identity) signalProcess(identity, "SIGKILL");
  }
  await removeNamespace(outsideName(layout.name));
  await removeFabric(layout.name);
  removeRecord(layout);
  rmSync(layout.run, { recursive: true, force: true });
  removeState(layout, kept);
  // What instances share goes with the last of them.
  for (const shared of [baseIdFolder, dirname(layout.run), dirname(layout.state)]) removeIfEmpty(shared);
}

import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { type ProcessIdentity, isAlive, signalProcess } from "#runtime/identity.ts";
import type { Layout } from "./layout.ts";
import type { DemoInfo } from "./status.ts";

/** What a supervisor leaves on disk, so that it can be found, and cleaned up after, from anywhere. */
export interface DemoRecord {
  readonly supervisor: ProcessIdentity;
  readonly info: DemoInfo;
  readonly ready: boolean;
  /** Its processes by name. */
  readonly services: Readonly<Record<string, ProcessIdentity>>;
}

/** Writes the record in one step: a reader sees the old one or the new one. */
export function writeRecord(layout: Layout, record: DemoRecord): void {
  mkdirSync(dirname(layout.record), { recursive: true, mode: 0o700 });
  const partial = `${layout.record}.tmp`;
  writeFileSync(partial, JSON.stringify(record), { mode: 0o600 });
  renameSync(partial, layout.record);
}

/** The record of an instance, or undefined where there is none that can be read. */
export function readRecord(layout: Layout): DemoRecord | undefined {
  try {
    return JSON.parse(readFileSync(layout.record, "utf8")) as DemoRecord;
  } catch {
    return undefined;
  }
}

/** The record of an instance whose supervisor runs. */
export function runningRecord(layout: Layout): DemoRecord | undefined {
  const record = readRecord(layout);
  return record && isAlive(record.supervisor) ? record : undefined;
}

/** Ends what a supervisor left running when it was killed itself. */
export function endServices(record: DemoRecord): void {
  for (const service of Object.values(record.services)) signalProcess(service, "SIGKILL", true);
}

/** Forgets the record. */
export function removeRecord(layout: Layout): void {
  rmSync(layout.record, { force: true });
}

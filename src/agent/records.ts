import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import type { Pod } from "#api/kubernetes/pod.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { HandoverMemory } from "./handover/record.ts";
import type { ProxyRole } from "./injection.ts";
import type { ProxySettings } from "./proxy-settings.ts";
import type { AgentLayout } from "./layout.ts";
import type { TrafficRecord } from "./traffic/record.ts";

/** How a container's earlier start ended. */
export interface Ending {
  /** Undefined when nobody saw it. */
  readonly code?: number;
  readonly startedAt?: number;
  readonly finishedAt: number;
}

/** What is known of one container of a Pod; times in milliseconds since the epoch. */
export interface ContainerRecord {
  /** Number of the current start, from 0; -1 before the first. */
  attempt: number;
  /** How many starts took over from the one before, which was no restart; none unless told. */
  takeovers?: number;
  /** Starts in a row that failed soon, for the wait before the next. */
  failures: number;
  /** Whether its startup probe has succeeded, or it has none and runs. */
  started: boolean;
  ready: boolean;
  /** The current start's end, once seen. */
  ended?: Ending;
  /** How the start before the current one ended. */
  last?: Ending;
  /** Why it does not run yet. */
  waiting?: { readonly reason: string; readonly message: string };
  /** It was asked to stop: the kill follows at this time. */
  killAt?: number;
}

/** What is known of one Pod and its proxy, whoever runs the Pod. */
export interface ProxyRecord extends HandoverMemory {
  /** The Pod as last seen. */
  pod: Pod;
  readonly address: string;
  readonly role: ProxyRole;
  /** The control plane that serves it; that of the agent's own options where nothing else was said. */
  upstream?: { readonly revision: string; readonly address: string };
  /** Number by which Envoy's hot restart finds its predecessor; unique on the machine. */
  baseId?: number;
  /** How the proxy is to be started, as last heard. */
  settings?: ProxySettings;
  /** How the proxy that runs was started. */
  startedWith?: ProxySettings;
  /** Whether the proxy that runs can ask for its certificate. */
  secrets?: boolean;
  /** Name servers of the Pod, where others run it and it looks up names at its agent. */
  resolvers?: readonly string[];
  /** Where the application's own metrics are, which the agent gives together with the proxy's; undefined where the proxy gives its own. */
  metrics?: string;
  /** Whether the proxy that runs has been ready since it was started. */
  served?: boolean;
  /** Whether its proxy takes connections of IPv6, as its Pod's network was when it was first started. */
  ipv6?: boolean;
  /** How its connections are led to its proxy; absent where none ever were. */
  traffic?: TrafficRecord;
  readonly containers: Record<string, ContainerRecord>;
}

/** What is known of one Pod that the agent runs; everything that a later agent needs to go on with it. */
export interface PodRecord extends ProxyRecord {
  readonly startTime: number;
  /** Whether its network and its files are complete. */
  prepared: boolean;
  /** When its removal began. */
  removal?: { readonly since: number; readonly graceMs: number; drained: boolean };
}

/** How often a container was started again because it had ended. */
export function restartsOf({ attempt, takeovers = 0 }: ContainerRecord): number {
  return Math.max(attempt - takeovers, 0);
}

/** A container that has never been started. */
export function newContainer(): ContainerRecord {
  return { attempt: -1, failures: 0, started: false, ready: false };
}

/** Writes a file so that a reader finds the old content or the new, also after a crash of the writer. */
export function writeWhole(path: string, text: string, mode = 0o600): void {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  writeFileSync(`${path}.new`, text, { mode });
  renameSync(`${path}.new`, path);
}

/** The records of a node's Pods on disk, one folder each. */
export class PodRecords<R extends ProxyRecord> {
  readonly #layout: AgentLayout;
  readonly #written = new Map<string, string>();

  constructor(layout: AgentLayout) {
    this.#layout = layout;
  }

  /** All Pods that an earlier agent left. What cannot be read is passed over and told. */
  load(logger: Logger): readonly R[] {
    mkdirSync(this.#layout.pods, { recursive: true, mode: 0o700 });
    const records: R[] = [];
    for (const uid of readdirSync(this.#layout.pods)) {
      try {
        const text = readFileSync(this.#layout.pod(uid).record, "utf8");
        records.push(JSON.parse(text) as R);
        this.#written.set(uid, text);
      } catch (error) {
        logger.warn("a Pod's record cannot be read", { uid, error: messageOf(error) });
      }
    }
    return records;
  }

  /** Writes a record when it has changed. */
  save(record: R): void {
    const { uid } = record.pod.metadata;
    const text = JSON.stringify(record);
    if (this.#written.get(uid) === text) return;
    writeWhole(this.#layout.pod(uid).record, text);
    this.#written.set(uid, text);
  }

  /** Forgets a Pod with all that is kept for it. */
  remove(uid: string): void {
    const { folder, proxy, changes } = this.#layout.pod(uid);
    rmSync(changes, { force: true });
    rmSync(proxy, { recursive: true, force: true });
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
    this.#written.delete(uid);
  }
}

import { readFileSync, readdirSync, readlinkSync } from "node:fs";
import type { Clock } from "#base/clock.ts";
import { bootId, identityOf, isAlive, type ProcessIdentity } from "#runtime/identity.ts";
import { groupsOfPod, podOfGroups, type ControlGroup } from "./control-groups.ts";

/** Where a Pod of another runtime is on this node. */
export interface PodPlace {
  /** Its longest-lived process: the one that holds its namespaces open. */
  readonly process: ProcessIdentity;
  /** File of its network namespace. */
  readonly network: string;
  /** Tells its network namespace from all others of the machine's run. */
  readonly sandbox: string;
  /** Its control groups, those of the whole Pod. */
  readonly groups: readonly ControlGroup[];
}

/** Milliseconds for which one look at all processes is good. */
const freshMs = 250;

/** What tells a network namespace from others, by what `/proc/PID/ns/net` is a link to, or by its inode. */
export function sandboxOf(inode: number | string): string {
  return `${bootId()}/${/\d+/.exec(String(inode))?.[0] ?? ""}`;
}

function textOf(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

function networkOf(pid: number): string | undefined {
  try {
    return readlinkSync(`/proc/${pid}/ns/net`);
  } catch {
    return undefined;
  }
}

/**
 * Finds Pods by their processes: the kubelet names a Pod's control group by its UID, whatever runs the containers, so no runtime has to
 * be asked. Needs the host's process ids, and its view of control groups.
 */
export class PodPlaces {
  readonly #clock: Clock;
  #places = new Map<string, PodPlace>();
  #lookedAt = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Where a Pod is; undefined while none of its processes is there. */
  find(uid: string): PodPlace | undefined {
    const known = this.#places.get(uid);
    if (known && isAlive(known.process)) return known;
    if (this.#clock.monotonic() - this.#lookedAt >= freshMs) this.#look();
    const found = this.#places.get(uid);
    return found && isAlive(found.process) ? found : undefined;
  }

  #look(): void {
    const own = networkOf(process.pid);
    const places = new Map<string, PodPlace>();
    for (const entry of readdirSync("/proc")) {
      const pid = Number(entry);
      if (!Number.isInteger(pid)) continue;
      const groups = textOf(`/proc/${pid}/cgroup`);
      const uid = groups === undefined ? undefined : podOfGroups(groups);
      const network = uid === undefined ? undefined : networkOf(pid);
      const identity = network === undefined ? undefined : identityOf(pid);
      // A process of the Pod that shares the node's network is not where its traffic is.
      if (uid === undefined || groups === undefined || !identity || network === undefined || network === own) continue;
      const before = places.get(uid)?.process;
      if (before && before.startTicks <= identity.startTicks) continue;
      places.set(uid, {
        process: identity,
        network: `/proc/${pid}/ns/net`,
        sandbox: sandboxOf(network),
        groups: groupsOfPod(groups, uid),
      });
    }
    this.#places = places;
    this.#lookedAt = this.#clock.monotonic();
  }
}

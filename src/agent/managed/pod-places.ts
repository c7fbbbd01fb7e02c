import { existsSync, readFileSync, readdirSync, readlinkSync } from "node:fs";
import type { Clock } from "#base/clock.ts";
import { bootId, identityOf, isAlive, type ProcessIdentity } from "#runtime/identity.ts";
import { groupsMade, groupsOfPod, podOfGroups, type ControlGroup } from "./control-groups.ts";

/** Where a Pod of another runtime is on this node. */
export interface PodPlace {
  /** Its longest-lived process: the one that holds its namespaces open; absent before its first has begun. */
  readonly process?: ProcessIdentity;
  /** File of its network namespace. */
  readonly network: string;
  /** Tells its network namespace from all others of the machine's run. */
  readonly sandbox: string;
  /** Its control groups, those of the whole Pod. */
  readonly groups: readonly ControlGroup[];
}

/** A place where processes are. */
type TakenPlace = PodPlace & Required<Pick<PodPlace, "process">>;

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
  #places = new Map<string, TakenPlace>();
  /** Of Pods that have a network and no process yet. */
  readonly #made = new Map<string, PodPlace>();
  #lookedAt = -Infinity;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /**
   * Takes note of a Pod's network that was made before its first process.
   * @returns whether the Pod has control groups already, and so a place.
   */
  made(uid: string, { network, sandbox }: Pick<PodPlace, "network" | "sandbox">): boolean {
    for (const [each, place] of this.#made) if (!existsSync(place.network)) this.#made.delete(each);
    const groups = groupsMade(uid);
    if (groups.length === 0) return false;
    this.#made.set(uid, { network, sandbox, groups });
    return true;
  }

  /** Where a Pod is; undefined where neither a process nor a network that was made for it is there. */
  find(uid: string): PodPlace | undefined {
    const taken = this.#taken(uid);
    const made = this.#made.get(uid);
    if (made === undefined || taken?.sandbox === made.sandbox || !existsSync(made.network)) {
      this.#made.delete(uid);
      return taken;
    }
    return made;
  }

  #taken(uid: string): TakenPlace | undefined {
    const known = this.#places.get(uid);
    if (known && isAlive(known.process)) return known;
    if (this.#clock.monotonic() - this.#lookedAt >= freshMs) this.#look();
    const found = this.#places.get(uid);
    return found && isAlive(found.process) ? found : undefined;
  }

  #look(): void {
    const own = networkOf(process.pid);
    const places = new Map<string, TakenPlace>();
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

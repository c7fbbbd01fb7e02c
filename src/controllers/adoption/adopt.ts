import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, WeftError } from "#base/errors.ts";
import { timestamp } from "#base/timestamp.ts";
import type { Client } from "#kube/client.ts";
import type { Installation } from "../aggregation/installation.ts";
import type { MemberObject } from "../aggregation/objects.ts";
import type { Membership } from "../clusters/membership.ts";
import type { Step } from "../clusters/steps.ts";
import { type Backup, BackupPlace } from "./backup.ts";
import { type Exported, exportFrom, kindOf, labelOf } from "./exported.ts";
import { Freeze } from "./freeze.ts";
import { Imports } from "./imports.ts";
import { type Choice, planAdoption, undecided } from "./plan.ts";
import { ReplacedObjects } from "./replaced.ts";
import { OwnObjects } from "./restore.ts";

/** A member whose Istio objects the mesh takes over. */
export interface Adoption {
  readonly name: string;
  /** The mesh's own API. */
  readonly mesh: Client;
  /** The member's API, as an administrator of it. */
  readonly member: Client;
  readonly membership: Membership;
  readonly installation: Installation;
  /** What makes the member serve the mesh's objects. */
  readonly objects: readonly MemberObject[];
  readonly kinds: readonly Kind[];
  readonly choice: Choice;
  /** Keeps the backup elsewhere too, before anything is removed. */
  readonly keep?: (backup: Backup) => Promise<void>;
  readonly limitMs: number;
  readonly told: (text: string) => void;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/** What is read once nobody can write it any more. */
interface Taken {
  readonly exported: Exported;
  readonly imports: Imports;
}

/** Reads all that the member has, when it cannot change any more. @throws WeftError where something is not decided. */
async function take({ mesh, member, kinds, choice }: Adoption): Promise<Taken> {
  const exported = await exportFrom(member, kinds);
  const fates = await planAdoption(mesh, exported, kinds);
  const open = undecided(fates, choice);
  if (open.length > 0) {
    throw new WeftError(
      "Conflict",
      `the cluster's objects have changed meanwhile (${open.slice(0, 3).join("; ")}): begin again`,
    );
  }
  return { exported, imports: new Imports(mesh, kinds, fates, choice) };
}

/** Milliseconds between questions that an API server cannot answer yet. */
const againMs = 200;

/**
 * Waits until the member serves all that it had: an API server finds the mesh's API available a little before it passes requests on to it, and
 * has no such kind or no way until then. @throws WeftError `FailedPrecondition` with the first object that it does not serve in time.
 */
async function isServed(adoption: Adoption, { exported, imports }: Taken): Promise<void> {
  const { member, kinds, clock, limitMs, signal } = adoption;
  const until = clock.monotonic() + limitMs;
  for (const object of imports.taken) {
    const definition = exported.definitions.find(({ spec }) => spec.names.kind === object.kind);
    if (!definition) continue;
    const objects = member.of(kindOf(definition, kinds));
    const find = async (): Promise<ResourceObject | undefined> => {
      try {
        return await objects.find(object.metadata);
      } catch (error) {
        if (codeOf(error) !== "Unavailable" || clock.monotonic() > until) throw error;
        return undefined;
      }
    };
    while (!(await find())) {
      if (clock.monotonic() > until) {
        throw new WeftError("FailedPrecondition", `the cluster does not serve ${labelOf(object)} from the mesh`);
      }
      await clock.sleep(againMs, signal);
    }
  }
}

/** The steps by which the mesh takes a member's Istio objects over. A step that fails has all before it taken back. */
export function adoptSteps(adoption: Adoption): readonly Step[] {
  const { name, member, membership, installation, objects, kinds, keep, limitMs, told, clock, signal } = adoption;
  const freeze = new Freeze(member, clock);
  const place = new BackupPlace(member);
  const own = new OwnObjects(member, kinds, clock);
  let found: Taken | undefined;
  /** Whether the cluster has all that it had: else the backup stays, whatever becomes of the rest. */
  let whole = true;
  const taken = (): Taken => {
    if (!found) throw new WeftError("Internal", "nothing was read");
    return found;
  };
  return [
    {
      title: "refuse writes of the cluster's own Istio objects",
      run: async () => freeze.begin(await exportFrom(member, kinds)),
      undo: () => freeze.end(),
    },
    {
      title: "write a backup into the cluster, and read it again",
      run: async () => {
        found = await take(adoption);
        const { definitions, objects: had } = found.exported;
        const { replaced } = found.imports;
        const backup = { cluster: name, time: timestamp(clock.now()), definitions, objects: had, replaced };
        await keep?.(backup);
        await place.write(backup);
      },
      undo: async () => {
        if (whole) await place.remove();
      },
    },
    {
      title: "write the objects into the mesh, and read them again",
      run: () => taken().imports.write(),
      undo: async () => found?.imports.undo(),
    },
    {
      title: "let the mesh's API serve the cluster",
      run: () => membership.serve("Aggregated"),
      undo: () => membership.serve("None"),
    },
    {
      title: "remove the cluster's own definitions",
      run: async () => {
        whole = false;
        await own.remove(taken().exported.definitions);
      },
      undo: async () => {
        await freeze.end();
        if (found) await own.restore(found.exported);
        whole = true;
      },
    },
    {
      title: "let its API server pass requests for Istio's objects on to the mesh's",
      run: async () => {
        await installation.make(objects);
        await installation.becomesAvailable(limitMs, told, signal);
        await isServed(adoption, taken());
      },
      undo: () => installation.remove(),
    },
    { title: "let writes through", run: () => freeze.end() },
  ];
}

/** A member that goes back to objects of its own. */
export type Return = Pick<
  Adoption,
  "mesh" | "member" | "membership" | "installation" | "kinds" | "choice" | "told" | "clock"
> & {
  /** What to go back to; what the member itself keeps unless told. */
  readonly backup?: Backup;
};

/**
 * The steps by which a member goes back to what it had, from wherever an adoption has come to, and the mesh to what the member's objects
 * replaced. What was new to the mesh stays there.
 */
export function returnSteps(returning: Return): readonly Step[] {
  const { mesh, member, membership, installation, kinds, choice, told, clock, backup } = returning;
  const place = new BackupPlace(member);
  const replaced = new ReplacedObjects(mesh, kinds, choice);
  let kept = backup;
  return [
    {
      title: "read the backup",
      run: async () => {
        // An adoption that was cut off before it had one has removed nothing.
        const untouched = !(await place.exists()) && (await exportFrom(member, kinds)).definitions.length > 0;
        if (!untouched) kept ??= await place.read();
        if (kept) await replaced.check(kept);
      },
    },
    { title: "stop serving the mesh's Istio objects in the cluster", run: () => installation.remove() },
    { title: "write down that it serves none", run: () => membership.serve("None") },
    { title: "let writes through", run: () => new Freeze(member, clock).end() },
    {
      title: "restore the cluster's definitions and objects, and read them again",
      run: async () => kept && new OwnObjects(member, kinds, clock).restore(kept),
    },
    {
      title: "give the mesh back what the cluster's objects replaced",
      run: async () => {
        const names = kept ? await replaced.restore(kept) : [];
        for (const name of names) told(`${name} is what the mesh had before`);
      },
    },
    { title: "remove the backup", run: () => place.remove() },
  ];
}

import type { Kind } from "#api/kind.ts";
import { equal } from "#base/canonical.ts";
import type { ResourceObject } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";
import type { Client, KindClient } from "#kube/client.ts";
import type { Backup } from "./backup.ts";
import { labelOf, writtenOf } from "./exported.ts";
import { type Choice, meshObjects, substance, winnerOf } from "./plan.ts";

/** An object of the mesh that a cluster's replaced. */
interface Replaced {
  /** As it was before. */
  readonly object: ResourceObject;
  readonly objects: KindClient<ResourceObject>;
  /** As it is now; undefined where it was deleted since. */
  readonly now: ResourceObject | undefined;
  /** Whether somebody has written or deleted it since. */
  readonly changed: boolean;
}

/** Objects of the mesh that a cluster's replaced when it was adopted, given back. Everything may be done again. */
export class ReplacedObjects {
  readonly #mesh: Client;
  readonly #kinds: readonly Kind[];
  readonly #choice: Choice;

  /** @param choice of what was changed since: `mesh` leaves it as it is now, `cluster` gives back what the cluster's backup has. */
  constructor(mesh: Client, kinds: readonly Kind[], choice: Choice) {
    this.#mesh = mesh;
    this.#kinds = kinds;
    this.#choice = choice;
  }

  /** @throws WeftError `FailedPrecondition` with what was changed since and would be lost, unless it is said whose counts. */
  async check(backup: Backup): Promise<void> {
    const open = (await this.#find(backup)).filter((each) => each.changed && !winnerOf(each, this.#choice));
    if (open.length === 0) return;
    const names = open.map(({ object, now }) => `${labelOf(object)}${now ? "" : " (deleted)"}`);
    const [first = ""] = open.map(({ object }) => labelOf(object));
    throw new WeftError(
      "FailedPrecondition",
      `the adoption replaced objects of the mesh, and these were written since, which going back would lose: ${names.join(", ")}; nothing was changed: --choose ${first}=mesh keeps it as the mesh has it now, =cluster gives back what the backup has, --prefer says the same of all`,
    );
  }

  /**
   * Gives them back.
   * @returns those that are as they were before.
   * @throws WeftError `Conflict` where one is written meanwhile.
   */
  async restore(backup: Backup): Promise<readonly string[]> {
    await this.check(backup);
    const restored: string[] = [];
    for (const each of await this.#find(backup)) {
      if (each.changed && winnerOf(each, this.#choice) === "mesh") continue;
      await put(each);
      restored.push(labelOf(each.object));
    }
    return restored;
  }

  /** Those that are not as they were. */
  async #find({ replaced, objects: taken }: Backup): Promise<readonly Replaced[]> {
    const found: Replaced[] = [];
    for (const object of replaced) {
      const objects = meshObjects(this.#mesh, object, this.#kinds);
      if (!objects) throw new WeftError("FailedPrecondition", `the mesh has no ${object.kind} of ${object.apiVersion}`);
      const now = await objects.find(object.metadata);
      if (now && equal(substance(now), substance(object))) continue;
      const imported = taken.find((each) => labelOf(each) === labelOf(object) && groupsAreSame(each, object));
      found.push({ object, objects, now, changed: !now || !imported || !(await isAs(objects, now, imported)) });
    }
    return found;
  }
}

function groupsAreSame(one: ResourceObject, other: ResourceObject): boolean {
  return one.apiVersion.split("/")[0] === other.apiVersion.split("/")[0];
}

function withVersion(object: ResourceObject, { metadata: { resourceVersion } }: ResourceObject): ResourceObject {
  const { metadata, ...content } = writtenOf(object);
  return { ...content, metadata: { ...metadata, resourceVersion } };
}

/** Whether writing an object would change nothing, by what the mesh makes of it. */
async function isAs(
  objects: KindClient<ResourceObject>,
  now: ResourceObject,
  object: ResourceObject,
): Promise<boolean> {
  const stored = await objects.replace(withVersion(object, now), { dryRun: true });
  return equal(substance(stored), substance(now));
}

async function put({ object, objects, now }: Replaced): Promise<void> {
  if (now) {
    await objects.replace(withVersion(object, now));
    return;
  }
  const { apiVersion: _version, kind: _kind, ...draft } = writtenOf(object);
  await objects.create(draft);
}

import type { Kind } from "#api/kind.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { ResourceObject } from "#api/meta.ts";
import { WeftError, codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { labelOf, writtenOf } from "./exported.ts";
import { type Choice, type Fate, meshObjects, winnerOf } from "./plan.ts";

/** What a cluster's objects become in the mesh, and back. Everything may be done again. */
export class Imports {
  readonly #mesh: Client;
  readonly #kinds: readonly Kind[];
  readonly #fates: readonly Fate[];
  readonly #choice: Choice;
  /** Objects and namespaces that were made. */
  readonly #made: ResourceObject[] = [];
  /** Objects as they were that have been replaced. */
  readonly #overwritten: ResourceObject[] = [];

  constructor(mesh: Client, kinds: readonly Kind[], fates: readonly Fate[], choice: Choice) {
    this.#mesh = mesh;
    this.#kinds = kinds;
    this.#fates = fates;
    this.#choice = choice;
  }

  /** Objects of the mesh that the cluster's replace. */
  get replaced(): readonly ResourceObject[] {
    return this.#fates.flatMap((fate) => (fate.kind === "conflict" && this.#replaces(fate) ? [fate.existing] : []));
  }

  /** Objects that members see once the mesh has taken over. */
  get taken(): readonly ResourceObject[] {
    return this.#fates.flatMap(({ kind, object }) => (kind === "refused" ? [] : [object]));
  }

  /** Writes them into the mesh. @throws WeftError `Conflict` where the mesh's has been changed meanwhile. */
  async write(): Promise<void> {
    for (const fate of this.#fates) {
      if (fate.kind === "new") await this.#create(fate.object);
      else if (fate.kind === "conflict" && this.#replaces(fate)) {
        await this.#replace(fate.object, fate.existing.metadata.resourceVersion);
        this.#overwritten.push(fate.existing);
      }
    }
    for (const object of this.taken) {
      if (!(await this.#objects(object).find(object.metadata))) {
        throw new WeftError(
          "FailedPrecondition",
          `${labelOf(object)} is not in the mesh after its import; nothing was removed`,
        );
      }
    }
  }

  /** Takes back what was written. */
  async undo(): Promise<void> {
    for (const existing of this.#overwritten.splice(0)) await this.#replace(existing);
    for (const { kind, metadata, apiVersion } of this.#made.splice(0).toReversed()) {
      const objects =
        kind === namespaceKind.kind
          ? this.#mesh.of(namespaceKind)
          : meshObjects(this.#mesh, { kind, metadata, apiVersion }, this.#kinds);
      await objects?.delete(metadata, { uid: metadata.uid }).catch((error: unknown) => {
        if (codeOf(error) !== "NotFound") throw error;
      });
    }
  }

  #replaces(fate: Fate): boolean {
    return winnerOf(fate, this.#choice) === "cluster";
  }

  #objects(object: ResourceObject) {
    const objects = meshObjects(this.#mesh, object, this.#kinds);
    if (!objects) throw new WeftError("Internal", `the mesh has no ${object.kind}`);
    return objects;
  }

  async #create(object: ResourceObject): Promise<void> {
    const { namespace } = object.metadata;
    if (namespace !== undefined) await this.#namespace(namespace);
    const { apiVersion: _version, kind: _kind, ...draft } = writtenOf(object);
    this.#made.push(await this.#objects(object).create(draft));
  }

  /** The mesh's own namespaces are not those of clusters: one that it does not have is made. */
  async #namespace(name: string): Promise<void> {
    const namespaces = this.#mesh.of(namespaceKind);
    if (await namespaces.find({ name })) return;
    this.#made.push(await namespaces.create({ metadata: { name } }));
  }

  async #replace(object: ResourceObject, resourceVersion?: string): Promise<void> {
    const wanted = writtenOf(object);
    const metadata = { ...wanted.metadata, ...(resourceVersion !== undefined && { resourceVersion }) };
    await this.#objects(object).replace({ ...wanted, metadata });
  }
}

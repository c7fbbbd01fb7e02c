import type { ResourceObject, StringMap } from "#api/meta.ts";
import { WeftError, codeOf } from "#base/errors.ts";
import type { Client, KindRef, ObjectName } from "#kube/client.ts";
import type { MemberObject } from "./objects.ts";

/** Which objects of a member belong together. */
export interface Belonging {
  /** By which all of them are found again. */
  readonly labels: StringMap;
  /** Their kinds, in the order in which they are removed. */
  readonly kinds: readonly KindRef[];
}

/** Objects that the mesh has in a member, made and removed as one. Everything may be done again. */
export class OwnedObjects {
  readonly #client: Client;
  readonly #belonging: Belonging;

  /** @param client the member's API, as an administrator of it. */
  constructor(client: Client, belonging: Belonging) {
    this.#client = client;
    this.#belonging = belonging;
  }

  /** Makes objects in their order. @throws WeftError `FailedPrecondition` where something of the name is not ours. */
  async make(objects: readonly MemberObject[]): Promise<void> {
    for (const object of objects) await this.#ensure(object);
  }

  /** The first object of these names that is there and not ours. */
  async foreign(objects: readonly MemberObject[]): Promise<MemberObject | undefined> {
    for (const wanted of objects) {
      const found = await this.#find(wanted);
      if (found && !this.#isOurs(found)) return wanted;
    }
    return undefined;
  }

  /** Those of a kind. */
  async list<T extends ResourceObject>(kind: KindRef, signal?: AbortSignal): Promise<readonly T[]> {
    const labelSelector = Object.entries(this.#belonging.labels)
      .map(([key, value]) => `${key}=${value}`)
      .join(",");
    return (await this.#client.of<T>(kind).list({ labelSelector }, signal)).items;
  }

  /** Removes those that are not among these. */
  async prune(kept: readonly MemberObject[]): Promise<void> {
    for (const kind of this.#belonging.kinds) {
      const keep = new Set(kept.filter((each) => each.kind === kind.kind).map(({ metadata }) => metadata.name));
      for (const { metadata } of await this.list(kind)) {
        if (!keep.has(metadata.name)) {
          await removed(this.#client, kind, { name: nameOf(metadata), uid: metadata.uid });
        }
      }
    }
  }

  /** Removes all of them, whatever made them. */
  async remove(): Promise<void> {
    await this.prune([]);
  }

  #kindOf({ kind }: MemberObject): KindRef {
    const found = this.#belonging.kinds.find((each) => each.kind === kind);
    if (found === undefined) throw new WeftError("Internal", `${kind} is no kind of what a member has`);
    return found;
  }

  async #find(wanted: MemberObject): Promise<ResourceObject | undefined> {
    return this.#client.of(this.#kindOf(wanted)).find(nameOf(wanted.metadata));
  }

  #isOurs({ metadata: { labels = {} } }: ResourceObject): boolean {
    return Object.entries(this.#belonging.labels).every(([key, value]) => labels[key] === value);
  }

  async #ensure(wanted: MemberObject): Promise<void> {
    const objects = this.#client.of(this.#kindOf(wanted));
    const { metadata, apiVersion: _version, kind: _kind, ...content } = wanted;
    const name = nameOf(metadata);
    const found = await this.#find(wanted);
    if (!found) await objects.create({ metadata, ...content });
    else if (this.#isOurs(found)) await objects.patch(name, { kind: "merge", body: { metadata, ...content } });
    else {
      throw new WeftError(
        "FailedPrecondition",
        `there is a ${wanted.kind} ${metadata.name} in the cluster that is not of the mesh: remove it if nobody needs it`,
      );
    }
  }
}

/** Deletes an object of a member; what is gone already is as it should be. */
export async function removed(
  client: Client,
  kind: KindRef,
  { name, uid }: { readonly name: ObjectName; readonly uid?: string },
): Promise<void> {
  try {
    await client.of(kind).delete(name, { ...(uid !== undefined && { uid }) });
  } catch (error) {
    if (codeOf(error) !== "NotFound") throw error;
  }
}

function nameOf({ name, namespace }: { readonly name: string; readonly namespace?: string }): ObjectName {
  return namespace === undefined ? { name } : { namespace, name };
}

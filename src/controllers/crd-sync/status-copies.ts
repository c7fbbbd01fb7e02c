import type { ResourceObject } from "#api/meta.ts";
import { codeOf } from "#base/errors.ts";
import type { ObjectName } from "#kube/client.ts";
import { sideOf, statusHash } from "./content.ts";
import type { SideObjects } from "./objects.ts";

/** Milliseconds for which statuses are gathered: those of a change come in several pieces, as proxies take it. */
const gatherMs = 2000;

/** What statuses are copied by. */
export interface StatusCopiesOptions {
  readonly mesh: SideObjects;
  readonly member: SideObjects;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
}

/** Shows in a member what the mesh says of its objects: statuses go this one way, and are never what both sides agree on. */
export class StatusCopies {
  readonly #options: StatusCopiesOptions;
  /** When an object's is due, by its name. */
  readonly #due = new Map<string, number>();
  /** Whether the member's definition has no statuses. */
  #without = false;

  constructor(options: StatusCopiesOptions) {
    this.#options = options;
  }

  /** Brings the status of an object that is alike in order. @returns milliseconds after which to look again. */
  async bring(name: ObjectName): Promise<number | undefined> {
    const { mesh, member, now } = this.#options;
    const key = `${name.namespace ?? ""}/${name.name}`;
    const wanted = mesh.status(name);
    if (this.#without || wanted === undefined || wanted === member.status(name)) {
      this.#due.delete(key);
      return undefined;
    }
    const due = this.#due.get(key) ?? now() + gatherMs;
    this.#due.set(key, due);
    if (now() < due) return due - now();
    this.#due.delete(key);
    await this.#copy(name);
    return undefined;
  }

  async #copy(name: ObjectName): Promise<void> {
    const { mesh, member } = this.#options;
    const [from, to] = await Promise.all([mesh.client.find(name), member.client.find(name)]);
    if (!from || !to || sideOf(from).hash !== mesh.side(name).hash || sideOf(to).hash !== member.side(name).hash)
      return;
    const status = shownIn(to, from);
    if (status === undefined || statusHash(status) === statusHash(to["status"])) return;
    try {
      await member.client.replaceStatus({ ...to, status });
    } catch (error) {
      // The object is there: its definition has no such subresource.
      if (codeOf(error) === "NotFound") this.#without = true;
      else throw error;
    }
  }
}

/** A status of the mesh's object as the member's has it, whose generations are its own; undefined where it speaks of an older content. */
function shownIn(to: ResourceObject, from: ResourceObject): object | undefined {
  const status = from["status"] as
    | { readonly observedGeneration?: unknown; readonly conditions?: readonly object[] }
    | undefined;
  if (status === undefined) return undefined;
  const { generation } = from.metadata;
  const own = (part: { readonly observedGeneration?: unknown }): object =>
    part.observedGeneration === undefined ? part : { ...part, observedGeneration: to.metadata.generation };
  if (Number(status.observedGeneration ?? generation) !== generation) return undefined;
  return { ...own(status), ...(status.conditions && { conditions: status.conditions.map(own) }) };
}

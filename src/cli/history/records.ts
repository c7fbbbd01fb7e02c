import type { Command } from "commander";
import type { ResourceObject } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";
import { type ApiContext, type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { apiResources, resourceNamed, resourcePath, type ApiResource } from "../resources.ts";

/** The record of one write, as the API tells it. */
export interface ObjectRecord {
  readonly revision: string;
  readonly time: string;
  /** The status alone was written; what it was is not kept. */
  readonly minor: boolean;
  /** Absent for the object as it was before its first record. */
  readonly by?: {
    readonly user: string;
    readonly groups: readonly string[];
    /** Who did it in the user's place. */
    readonly impersonator?: string;
    readonly agent: string;
    readonly verb: string;
  };
  /** Absent for a removal, and where it is `minor`. */
  readonly object?: ResourceObject;
}

/** Flags that say where an object is. */
export interface ObjectFlags extends ApiFlags {
  readonly namespace?: string;
}

/** An object that a command is about, and the records of its writes, the oldest first. */
export interface ObjectHistory extends Disposable {
  readonly api: ApiContext;
  readonly resource: ApiResource;
  /** `virtualservice/reviews`, as kubectl names objects. */
  readonly title: string;
  readonly namespace: string | undefined;
  readonly name: string;
  readonly records: readonly ObjectRecord[];
}

/** Adds the flags of `ObjectFlags` to a command. */
export function withObjectFlags(command: Command): Command {
  return withApiFlags(command).option("-n, --namespace <name>", "namespace; the kubeconfig's unless given");
}

/**
 * Reads the history of an object.
 * @param text `KIND/NAME`.
 * @throws WeftError `InvalidArgument` for another text, `NotFound` for an object without history.
 */
export async function openHistory(text: string, flags: ObjectFlags): Promise<ObjectHistory> {
  const [word = "", name = "", ...more] = text.split("/");
  if (word === "" || name === "" || more.length > 0) {
    throw new WeftError("InvalidArgument", `"${text}" names no object: write KIND/NAME, such as vs/reviews`);
  }
  const api = await openApi(flags);
  try {
    const resource = resourceNamed(await apiResources(api.client), word);
    const namespace = resource.namespaced ? (flags.namespace ?? api.namespace) : undefined;
    const path = `${resourcePath(resource, namespace, name)}/history`;
    const { items } = await api.client.json<{ readonly items: readonly ObjectRecord[] }>({ method: "GET", path });
    const title = `${resource.singular}/${name}`;
    return { api, resource, title, namespace, name, records: items, [Symbol.dispose]: () => api[Symbol.dispose]() };
  } catch (error) {
    api[Symbol.dispose]();
    throw error;
  }
}

/** The object as a revision left it. @throws WeftError `NotFound` that lists the revisions there are. */
export function objectAt({ title, records }: ObjectHistory, revision: number): ResourceObject {
  const kept = records.filter(({ object }) => object !== undefined);
  const found = kept.find((record) => record.revision === String(revision))?.object;
  if (found !== undefined) return found;
  const known = kept.map((record) => record.revision).join(", ");
  throw new WeftError("NotFound", `revision ${revision} of ${title} is not kept; there are: ${known || "none"}`);
}

/** What of an object somebody wrote: without what the server fills in, and without its status. */
export function written(object: ResourceObject): object {
  const { apiVersion, kind, metadata, status: _, ...body } = object;
  const { name, namespace, labels, annotations, finalizers, ownerReferences } = metadata;
  const kept = Object.entries({ name, namespace, labels, annotations, finalizers, ownerReferences });
  return {
    apiVersion,
    kind,
    metadata: Object.fromEntries(kept.filter(([, value]) => value !== undefined)),
    ...body,
  };
}

import type { ResourceObject, StringMap } from "#api/meta.ts";
import { canonical } from "#base/canonical.ts";
import { contentHash } from "#base/content-hash.ts";
import { type Side, absent } from "./decision.ts";

/** What is the same on both sides: all that users write, but for what belongs to one cluster. */
export interface Content {
  readonly labels: StringMap;
  readonly annotations: StringMap;
  /** `spec`, and whatever else stands beside `metadata` and `status`. */
  readonly body: Readonly<Record<string, unknown>>;
}

/** What `kubectl apply` remembers is about the cluster that it was run against. */
const localAnnotations: ReadonlySet<string> = new Set(["kubectl.kubernetes.io/last-applied-configuration"]);
const notContent: ReadonlySet<string> = new Set(["apiVersion", "kind", "metadata", "status"]);

function entries(map: StringMap | undefined, local: boolean): StringMap {
  return Object.fromEntries(Object.entries(map ?? {}).filter(([name]) => localAnnotations.has(name) === local));
}

/** The content of an object. Owners and finalizers name what only one cluster has, and are not part of it. */
export function contentOf(object: ResourceObject): Content {
  const { labels = {}, annotations } = object.metadata;
  return {
    labels,
    annotations: entries(annotations, false),
    body: Object.fromEntries(Object.entries(object).filter(([name]) => !notContent.has(name))),
  };
}

/** An object as a side has it; one that is being deleted is gone. */
export function sideOf(object: ResourceObject | undefined): Side {
  if (object === undefined || object.metadata.deletionTimestamp !== undefined) return absent;
  return { hash: contentHash(contentOf(object)), version: object.metadata.resourceVersion };
}

/** An object without its content and its status, of which hashes are kept: many are remembered. */
export function stubOf<T extends ResourceObject>(object: T): T {
  const { name, namespace, uid, resourceVersion, generation, creationTimestamp, deletionTimestamp } = object.metadata;
  const metadata = {
    name,
    uid,
    resourceVersion,
    generation,
    creationTimestamp,
    ...(namespace !== undefined && { namespace }),
    ...(deletionTimestamp !== undefined && { deletionTimestamp }),
  };
  const { apiVersion, kind } = object;
  const status = statusHash(object["status"]);
  return { apiVersion, kind, metadata, side: sideOf(object), ...(status !== undefined && { status }) } as unknown as T;
}

/** Tells statuses apart, but for the generations that they speak of: each side counts its own. */
export function statusHash(status: unknown): string | undefined {
  if (typeof status !== "object" || status === null) return undefined;
  const { conditions, observedGeneration: _own, ...rest } = status as Readonly<Record<string, unknown>>;
  const told = Array.isArray(conditions)
    ? conditions.map(({ observedGeneration: _its, ...condition }: Record<string, unknown>) => condition)
    : conditions;
  return contentHash({ ...rest, conditions: told });
}

/** The hash of a stub's status. */
export function stubStatus(stub: ResourceObject | undefined): string | undefined {
  return stub?.["status"] as string | undefined;
}

/** What is known of an object by its stub. */
export function stubSide(stub: ResourceObject | undefined): Side {
  return (stub?.["side"] as Side | undefined) ?? absent;
}

/** An object to create on a side, or the one that is there with other content. */
export function withContent(
  name: { readonly namespace?: string; readonly name: string },
  { labels, annotations, body }: Content,
  there?: ResourceObject,
): { readonly metadata: ResourceObject["metadata"] } & Readonly<Record<string, unknown>> {
  const kept = entries(there?.metadata.annotations, true);
  const { namespace } = name;
  const metadata = {
    ...(there?.metadata ?? { name: name.name, ...(namespace !== undefined && { namespace }) }),
    labels,
    annotations: { ...annotations, ...kept },
  } as ResourceObject["metadata"];
  const status = there?.["status"];
  return { ...body, ...(status !== undefined && { status }), metadata };
}

/** The path of the first field that was sent and is not stored as it was; undefined where all are. Others may have been added. */
export function droppedField(sent: unknown, stored: unknown, path = ""): string | undefined {
  if (sent === undefined || sent === null) return undefined;
  if (typeof sent !== "object" || typeof stored !== "object" || stored === null)
    return canonical(sent) === canonical(stored) ? undefined : path;
  if (Array.isArray(sent)) {
    if (!Array.isArray(stored) || stored.length !== sent.length) return path;
    return first(sent.map((item, at) => droppedField(item, stored[at], `${path}[${at}]`)));
  }
  const had = stored as Readonly<Record<string, unknown>>;
  const members = Object.entries(sent as Readonly<Record<string, unknown>>);
  return first(members.map(([name, value]) => droppedField(value, had[name], path === "" ? name : `${path}.${name}`)));
}

function first(found: readonly (string | undefined)[]): string | undefined {
  return found.find((path) => path !== undefined);
}

import type { ResourceObject } from "#api/meta.ts";
import type { Authorship, ObjectKey, Stored, WriteRecord } from "./port.ts";
import type { RecordRow } from "./sqlite-protocol.ts";

/** Resources that tell of times and events themselves; records of them would say nothing more. */
const unrecorded: ReadonlySet<string> = new Set(["events", "leases.coordination.k8s.io"]);

/** What stands in records where a value of a Secret was. */
const hidden = "(hidden)";

/** By this annotation kubectl keeps what was applied, Secrets' values too. */
const appliedAnnotation = "kubectl.kubernetes.io/last-applied-configuration";

const itself: Authorship = { user: "system:apiserver", groups: [], agent: "weft", verb: "update" };

function hideValues(values: unknown): unknown {
  if (typeof values !== "object" || values === null) return values;
  return Object.fromEntries(Object.keys(values).map((key) => [key, hidden]));
}

/** An object as a record keeps it: without managed fields, since the record itself says who wrote; a Secret without its values. */
function recorded(resource: string, { metadata, ...body }: ResourceObject): object {
  const { managedFields: _, ...kept } = metadata;
  const object = { ...body, metadata: kept };
  return resource === "secrets" ? withoutValues(object) : object;
}

function withoutValues(object: Readonly<Record<string, unknown>> & Pick<ResourceObject, "metadata">): object {
  const { annotations = {} } = object.metadata;
  const kept = appliedAnnotation in annotations ? { ...annotations, [appliedAnnotation]: hidden } : annotations;
  const data = object["data"] === undefined ? {} : { data: hideValues(object["data"]) };
  return { ...object, ...data, metadata: { ...object.metadata, annotations: kept } };
}

/** What is to be recorded of a write; undefined for what is not recorded. */
export function recordOf(
  key: ObjectKey,
  object: ResourceObject | undefined,
  previous: Stored | undefined,
  by: Authorship | undefined,
): RecordRow | undefined {
  if (unrecorded.has(key.resource)) return undefined;
  const author = by ?? (object === undefined ? { ...itself, verb: "delete" } : itself);
  // Whoever writes a status says nothing of what is wanted: that it was written is enough.
  const minor = author.verb.endsWith(" status");
  const text = object === undefined || minor ? null : JSON.stringify(recorded(key.resource, object));
  const before = previous === undefined || key.resource === "secrets" ? {} : { before: previous.revision };
  return { author: JSON.stringify(author), text, minor, ...before };
}

/** A record as its database has it. */
export function readRecord(row: Readonly<Record<string, unknown>>): WriteRecord {
  const { revision, time, minor, author, object } = row;
  const by = typeof author === "string" ? (JSON.parse(author) as Authorship) : undefined;
  return {
    revision: Number(revision),
    time: Number(time),
    minor: minor === 1,
    ...(by === undefined ? {} : { by }),
    ...(typeof object === "string" ? { object: JSON.parse(object) as ResourceObject } : {}),
  };
}

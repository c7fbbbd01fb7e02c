import { levels, messageType } from "#api/message-types.ts";
import type { ObjectRef } from "#api/meta.ts";
import type { Validator } from "#api/validation.ts";
import { canonical } from "#base/canonical.ts";
import { edited, type MeshSnapshot, placeOf, type PlacedObject } from "../snapshot.ts";
import type { Analyzer } from "./analyzer.ts";
import { fileWorkloads } from "./file-workloads.ts";
import type { FileObject, FileProblem, Loaded } from "./load.ts";
import { refKey } from "#api/meta.ts";
import { meshObjects } from "./mesh-objects.ts";
import type { Message, Problem } from "./message.ts";
import { repaired } from "./repairs.ts";

/** What is analyzed. */
export interface AnalysisInput {
  /** The mesh as it is; empty where files are looked at alone. */
  readonly snapshot: MeshSnapshot;
  /** Whether the snapshot was read from a mesh. */
  readonly live: boolean;
  /** Objects as they would be, which take the place of those of the mesh. */
  readonly files: Loaded;
  readonly analyzers: readonly Analyzer[];
  readonly validator: Validator;
  /** Milliseconds since the epoch, by which certificates are judged; they count as valid unless given. */
  readonly now?: number;
}

/** An object that replaces another keeps its age, which decides conflicts. */
function aged(files: readonly FileObject[], snapshot: MeshSnapshot): readonly PlacedObject[] {
  const created = new Map(snapshot.map((each) => [placeOf(each), each.object.metadata.creationTimestamp]));
  return files.map(({ object, cluster }) => {
    const creationTimestamp = created.get(placeOf({ object, cluster }));
    if (creationTimestamp === undefined) return { object, cluster };
    return { object: { ...object, metadata: { ...object.metadata, creationTimestamp } }, cluster };
  });
}

/** A problem as a message; problems of one kind at one place are one. */
function messagesOf(problems: Iterable<Problem>, files: readonly FileObject[]): readonly Message[] {
  const sources = new Map(files.map(({ ref, source }) => [refKey(ref), source]));
  const messages = new Map<string, Message>();
  for (const problem of problems) {
    const { resource, field, message, fix } = problem;
    const type = messageType(problem);
    const key = canonical([type.code, refKey(resource), field ?? message]);
    if (messages.has(key)) continue;
    const position = sources.get(refKey(resource))?.position(field);
    messages.set(key, {
      type,
      resource,
      message,
      ...(field !== undefined && { field }),
      ...(position && { position }),
      ...(fix && { fix }),
    });
  }
  return [...messages.values()];
}

/** Objects that files have more than once: the last of them counts. */
function repeated(files: readonly FileObject[]): readonly FileProblem[] {
  const seen = new Map<string, FileObject>();
  return files.flatMap((object): readonly FileProblem[] => {
    const { ref, source } = object;
    const before = seen.get(refKey(ref))?.source.position();
    seen.set(refKey(ref), object);
    if (!before) return [];
    const message = `The same object is at ${before.file}:${before.line} already; only this one counts.`;
    return [{ code: "DuplicateObject", severity: "warning", resource: ref, message, position: source.position() }];
  });
}

function fileMessages({ problems, objects }: Loaded): readonly Message[] {
  const nothing: ObjectRef = { group: "", kind: "", name: "" };
  return [...problems, ...repeated(objects)].map(({ resource, code, severity, message, field, position, fix }) => ({
    type: messageType({ code, severity, message, resource: resource ?? nothing }),
    message,
    position,
    ...(resource && { resource }),
    ...(field !== undefined && { field }),
    ...(fix && { fix }),
  }));
}

function placeText({ type, resource, position, field }: Message): string {
  return [type.code, resource ? refKey(resource) : "", position?.file, field].join("|");
}

/** The worst first, then by code, object and place, as Istio sorts. */
function byWeight(a: Message, b: Message): number {
  const level = levels.indexOf(a.type.level) - levels.indexOf(b.type.level);
  const line = (a.position?.line ?? 0) - (b.position?.line ?? 0);
  return level || placeText(a).localeCompare(placeText(b)) || line;
}

/** Everything that can be said of a mesh, of files, or of the mesh as it would be with the files. */
export function analyze({ snapshot, live, files, analyzers, validator, now }: AnalysisInput): readonly Message[] {
  const put = aged(files.objects, snapshot);
  const wanted = edited(snapshot, { put, removed: [] });
  const objects = meshObjects([...wanted, ...fileWorkloads(put, wanted)], live, validator, now);
  const problems = analyzers.flatMap((analyzer) => [...analyzer.problems(objects)]);
  return [...fileMessages(files), ...messagesOf(repaired(problems, objects), files.objects)].toSorted(byWeight);
}

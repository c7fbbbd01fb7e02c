import type { Severity } from "#api/finding.ts";
import type { ObjectRef } from "#api/meta.ts";
import type { MeshObjects } from "./mesh-objects.ts";
import type { Fix, Problem } from "./message.ts";

/** Something that is looked at in a mesh. */
export interface Analyzer {
  /** As Istio's analyzer is called where there is one. */
  readonly name: string;
  /** What it looks for, in one sentence. */
  readonly description: string;
  /** Runs only when asked for by name. */
  readonly onRequest?: boolean;
  readonly problems: (objects: MeshObjects) => Iterable<Problem>;
}

/** What is wrong with one field of an object. */
interface Told {
  readonly code: string;
  readonly severity?: Severity;
  readonly field: string;
  readonly message: string;
  readonly fix?: Fix | undefined;
}

/** A problem of an object. */
export function problemOf(resource: ObjectRef, { severity = "warning", fix, ...told }: Told): Problem {
  return { resource, severity, ...told, ...(fix && { fix }) };
}

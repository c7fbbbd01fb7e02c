import type { FieldError, Kind } from "#api/kind.ts";
import { kindOf, kindOfObject, kinds } from "#api/kinds.ts";
import { groupOf, type ObjectRef, type ResourceObject } from "#api/meta.ts";
import type { Validator } from "#api/validation.ts";
import type { PlacedObject } from "../snapshot.ts";
import { parseFile, type Position, type Sourced } from "./document.ts";
import type { Problem } from "./message.ts";
import { nearest } from "./nearest.ts";
import { unknownFields } from "./unknown-fields.ts";

/** How objects of files are read. */
export interface LoadOptions {
  /** Namespace of objects that name none. */
  readonly namespace: string;
  /** The member cluster that Services and the like belong to. */
  readonly cluster: string;
  /** When objects of the files would be created, in RFC 3339; of two that conflict the older one wins. */
  readonly created: string;
  readonly validator: Validator;
}

/** An object of a file, as the API would take it. */
export interface FileObject extends PlacedObject {
  readonly ref: ObjectRef;
  readonly source: Sourced;
}

/** A problem of a file. */
export interface FileProblem extends Omit<Problem, "resource"> {
  readonly resource?: ObjectRef;
  readonly position: Position;
}

/** What files hold. */
export interface Loaded {
  readonly objects: readonly FileObject[];
  readonly problems: readonly FileProblem[];
}

type Json = Readonly<Record<string, unknown>>;

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

interface Head {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Json & { readonly name: string };
}

function isHead(value: unknown): value is Json & Head {
  if (!isJson(value) || !isJson(value["metadata"])) return false;
  return [value["apiVersion"], value["kind"], value["metadata"]["name"]].every((each) => typeof each === "string");
}

const istioGroups = new Set(kinds.map(({ group }) => group).filter((group) => group.endsWith(".istio.io")));

/** What to say of an object of a kind that Weft has not. */
function unknownKind({ apiVersion, kind }: Head): Pick<Problem, "code" | "severity" | "field" | "message"> {
  const group = groupOf(apiVersion);
  const known = kindOf(group, kind);
  const versions = known?.versions.map(({ name }) => `${group}/${name}`).join(" or ");
  if (versions !== undefined) {
    const message = `${kind} has no version ${apiVersion}; write ${versions}.`;
    return { code: "SchemaValidationError", severity: "error", field: "apiVersion", message };
  }
  const near = nearest(
    kind,
    kinds.filter((each) => each.group === group).map((each) => each.kind),
  );
  const hint = near === undefined ? "it is not analyzed" : `did you mean ${near}?`;
  const message = `Weft has no kind ${kind} in ${group === "" ? "the core group" : group}; ${hint}.`.replace("?.", "?");
  return { code: "UnknownKind", severity: istioGroups.has(group) ? "warning" : "info", field: "kind", message };
}

/** An object with what the API server would fill in. */
function completed(value: Json & Head, kind: Kind, { namespace, created }: LoadOptions): ResourceObject {
  const { namespace: _, ...metadata } = value.metadata;
  const own = typeof value.metadata["namespace"] === "string" ? value.metadata["namespace"] : namespace;
  return {
    ...value,
    metadata: {
      uid: "",
      resourceVersion: "0",
      generation: 1,
      creationTimestamp: created,
      ...metadata,
      ...(kind.namespaced && { namespace: own }),
    },
  };
}

function sentence({ field, message }: FieldError): string {
  return `${field}: ${message}`;
}

function loadObject(value: Json & Head, source: Sourced, options: LoadOptions): Loaded {
  const kind = kindOfObject(value);
  if (!kind) {
    const problem = unknownKind(value);
    const own = value.metadata["namespace"];
    const ref = { group: groupOf(value.apiVersion), kind: value.kind, name: value.metadata.name };
    const resource = typeof own === "string" ? { ...ref, namespace: own } : ref;
    return { objects: [], problems: [{ ...problem, resource, position: source.position(problem.field) }] };
  }
  const submitted = completed(value, kind, options);
  const home = kind.home === "cluster" ? options.cluster : "";
  const ref: ObjectRef = {
    group: kind.group,
    kind: kind.kind,
    name: value.metadata.name,
    ...(submitted.metadata.namespace !== undefined && { namespace: submitted.metadata.namespace }),
    ...(home !== "" && { cluster: home }),
  };
  const { object, unknown, errors } = options.validator.admit(kind, submitted);
  const refused = errors.map((error) => {
    const { field } = error;
    return {
      code: "SchemaValidationError",
      severity: "error",
      resource: ref,
      field,
      message: sentence(error),
    } as const;
  });
  const problems = [...unknownFields(kind, ref, value, unknown), ...refused].map((problem) => ({
    ...problem,
    position: source.position(problem.field),
  }));
  if (errors.length > 0) return { objects: [], problems };
  return { objects: [{ object, cluster: home, ref, source }], problems };
}

/** Reads the objects of a file as the API would take them; what it would refuse is told and left out. */
export function loadFile(text: string, file: string, options: LoadOptions): Loaded {
  const { values, unreadable } = parseFile(text, file);
  const loaded = values.map((source): Loaded => {
    if (isHead(source.value)) return loadObject(source.value, source, options);
    const message = "An object needs apiVersion, kind and metadata.name.";
    return {
      objects: [],
      problems: [{ code: "InvalidYAML", severity: "error", message, position: source.position() }],
    };
  });
  const broken = unreadable.map(({ message, position }): FileProblem => ({
    code: "InvalidYAML",
    severity: "error",
    message,
    position,
  }));
  return {
    objects: loaded.flatMap(({ objects }) => objects),
    problems: [...broken, ...loaded.flatMap(({ problems }) => problems)],
  };
}

import type { Kind } from "../kind.ts";
import type { Json } from "./schemas.ts";

/** A query parameter of a request. */
export interface Parameter {
  readonly name: string;
  readonly type: "string" | "boolean" | "integer";
  readonly description: string;
}

/** One request that a path takes. */
export interface Operation {
  readonly method: "get" | "put" | "post" | "delete" | "patch";
  readonly action: string;
  readonly id: string;
  readonly description: string;
  readonly parameters: readonly Parameter[];
  /** Media types of the request's body, of which there is none where this is empty. */
  readonly consumes: readonly string[];
  /** Name of the schema of the request's body, where that is an object of the kind. */
  readonly body?: string;
  /** Name of the schema of the answer. */
  readonly answer: string;
}

/** A path and the requests that it takes. */
export interface Path {
  readonly path: string;
  /** Names of the path's parameters, in order. */
  readonly variables: readonly string[];
  readonly operations: readonly Operation[];
  /** What the requests are about. */
  readonly gvk: Json;
}

const string = (name: string, description: string): Parameter => ({ name, type: "string", description });
const boolean = (name: string, description: string): Parameter => ({ name, type: "boolean", description });
const integer = (name: string, description: string): Parameter => ({ name, type: "integer", description });

const pretty = string("pretty", "Whether the answer is laid out for people.");
const dryRun = string("dryRun", "All: do everything but store the change.");

const writing = [
  pretty,
  dryRun,
  string("fieldManager", "Who manages the fields that are written, as managedFields tells."),
  string(
    "fieldValidation",
    "What becomes of unknown fields: Ignore drops them, Warn tells, Strict refuses the request.",
  ),
];

const patching = [...writing, boolean("force", "For server-side apply: take over fields that others manage.")];

const deleting = [
  pretty,
  dryRun,
  integer("gracePeriodSeconds", "Seconds that the object has to end."),
  string("propagationPolicy", "What becomes of objects that it owns: Orphan, Background or Foreground."),
];

const listing = [
  pretty,
  string("labelSelector", "Only objects with these labels."),
  string("fieldSelector", "Only objects with these fields."),
  integer("limit", "Objects in a page at most."),
  string("continue", "Where the page before ended."),
  string("resourceVersion", "How old the answer may be, or after which version a watch begins."),
  string("resourceVersionMatch", "How resourceVersion is meant: Exact or NotOlderThan."),
  integer("timeoutSeconds", "Seconds after which the request ends."),
  boolean("watch", "Tell changes as they come, without end."),
  boolean("allowWatchBookmarks", "Tell from time to time how far a watch is."),
];

const json = ["application/json", "application/yaml"];

function patchTypes(kind: Kind): readonly string[] {
  const types = ["application/json-patch+json", "application/merge-patch+json", "application/apply-patch+yaml"];
  return kind.strategicMerge ? [...types, "application/strategic-merge-patch+json"] : types;
}

/** Requests that read and change one object or a part of it. */
function single(kind: Kind, id: string, what: string, schema: string): Operation[] {
  const answer = schema;
  const base = { answer, consumes: [] };
  return [
    { ...base, method: "get", action: "get", id: `read${id}`, description: `Reads ${what}.`, parameters: [pretty] },
    {
      ...base,
      method: "put",
      action: "put",
      id: `replace${id}`,
      description: `Replaces ${what}.`,
      parameters: writing,
      consumes: json,
      body: schema,
    },
    {
      ...base,
      method: "patch",
      action: "patch",
      id: `patch${id}`,
      description: `Changes ${what}.`,
      parameters: patching,
      consumes: patchTypes(kind),
    },
  ];
}

function collection(id: string, kind: Kind, schema: string, list: string): Operation[] {
  return [
    {
      method: "get",
      action: "list",
      id: `list${id}`,
      description: `Lists or watches objects of the kind ${kind.kind}.`,
      parameters: listing,
      consumes: [],
      answer: list,
    },
    {
      method: "post",
      action: "post",
      id: `create${id}`,
      description: `Makes a ${kind.kind}.`,
      parameters: writing,
      consumes: json,
      body: schema,
      answer: schema,
    },
    {
      method: "delete",
      action: "deletecollection",
      id: `deleteCollection${id}`,
      description: `Deletes objects of the kind ${kind.kind}.`,
      parameters: [...listing, ...deleting.slice(1)],
      consumes: json,
      answer: "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
    },
  ];
}

/** Group and version of the scale subresource's objects. */
export const scaleGvk = { group: "autoscaling", kind: "Scale", version: "v1" } as const;

/** Name of the scale subresource's schema. */
export const scaleName = "io.k8s.api.autoscaling.v1.Scale";

/** The paths under which a version of a kind is reached. */
export function pathsOf(kind: Kind, version: string, schema: string): readonly Path[] {
  const { group, plural, namespaced } = kind;
  const root = group === "" ? `/api/${version}` : `/apis/${group}/${version}`;
  const all = `${root}/${plural}`;
  const within = namespaced ? `${root}/namespaces/{namespace}/${plural}` : all;
  const one = `${within}/{name}`;
  const gvk = { group, kind: kind.kind, version };
  const id = `${group.replaceAll(/(?:^|\.)(\w)/g, (_, letter: string) => letter.toUpperCase())}${version.toUpperCase()}${namespaced ? "Namespaced" : ""}${kind.kind}`;
  const spaces = namespaced ? ["namespace"] : [];
  const named = [...spaces, "name"];
  const [read, ...changes] = single(kind, id, `a ${kind.kind}`, schema);
  const list = collection(id, kind, schema, `${schema}List`);
  const remove: Operation = {
    method: "delete",
    action: "delete",
    id: `delete${id}`,
    description: `Deletes a ${kind.kind}.`,
    parameters: deleting,
    consumes: json,
    answer: "io.k8s.apimachinery.pkg.apis.meta.v1.Status",
  };
  const everywhere = list.slice(0, 1).map((operation) => ({ ...operation, id: `${operation.id}ForAllNamespaces` }));
  return [
    ...(namespaced ? [{ path: all, variables: [], operations: everywhere, gvk }] : []),
    { path: within, variables: spaces, operations: list, gvk },
    { path: one, variables: named, operations: [...(read === undefined ? [] : [read]), ...changes, remove], gvk },
    ...(kind.status
      ? [
          {
            path: `${one}/status`,
            variables: named,
            operations: single(kind, `${id}Status`, `the status of a ${kind.kind}`, schema),
            gvk,
          },
        ]
      : []),
    ...(kind.scale === undefined
      ? []
      : [
          {
            path: `${one}/scale`,
            variables: named,
            operations: single(kind, `${id}Scale`, `the scale of a ${kind.kind}`, scaleName),
            gvk: scaleGvk,
          },
        ]),
  ];
}

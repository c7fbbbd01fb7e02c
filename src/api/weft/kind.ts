import type { Column, Kind } from "../kind.ts";
import type { ResourceObject } from "../meta.ts";
import type { Condition } from "../kubernetes/meta.ts";

/** Name of a schema of Weft's own group in OpenAPI documents. */
export function weftName(type: string): string {
  return `dev.weft.mesh.v1alpha1.${type}`;
}

type WeftParts =
  | "kind"
  | "plural"
  | "shortNames"
  | "description"
  | "schema"
  | "columns"
  | "nameForm"
  | "validate"
  | "validateUpdate";

/** A kind of the group `mesh.weft.dev`: cluster-wide, and kept once in the mesh. */
export function weftKind(parts: Pick<Kind, WeftParts>): Kind {
  return {
    ...parts,
    group: "mesh.weft.dev",
    versions: [{ name: "v1alpha1" }],
    singular: parts.kind.toLowerCase(),
    categories: ["weft"],
    namespaced: false,
    home: "mesh",
    status: true,
  };
}

/** Whether the object is ready, as its condition says. */
export const readyColumn: Column = {
  name: "Ready",
  type: "string",
  description: "Whether all is well, as the condition Ready says.",
  cell: (object: ResourceObject) => {
    const status = object["status"] as { readonly conditions?: readonly Condition[] } | undefined;
    return status?.conditions?.find(({ type }) => type === "Ready")?.status ?? "Unknown";
  },
};

import { everyone } from "./client.ts";

/**
 * Whether something that a namespace owns is exported to a viewer: `*` to all, `.` to its own namespace, else to the
 * namespaces named; `~` to none.
 */
export function isExportedTo(exportTo: readonly string[], owner: string, viewer: string): boolean {
  if (exportTo.includes(everyone)) return true;
  return viewer !== everyone && (exportTo.includes(viewer) || (viewer === owner && exportTo.includes(".")));
}

/** The namespaces to which something is exported though not to everyone; its own as its name. */
export function namedExports(exportTo: readonly string[], owner: string): readonly string[] {
  if (exportTo.includes(everyone)) return [];
  return exportTo.filter((namespace) => namespace !== "~").map((namespace) => (namespace === "." ? owner : namespace));
}

/** An object's `exportTo`, or the mesh's default where it has none. */
export function exportsOf(exportTo: readonly string[] | undefined, otherwise: readonly string[]): readonly string[] {
  return exportTo === undefined || exportTo.length === 0 ? otherwise : exportTo;
}

import { valueAt } from "#api/field-path.ts";
import { type ObjectRef, refKey } from "#api/meta.ts";
import { type MeshSnapshot, placeOf } from "../snapshot.ts";
import type { Reason } from "./explanation.ts";

/** Makes reasons of references to fields, with what stands there. */
export type Cite = (ref: ObjectRef, field: string) => Reason;

/** A way to cite the objects of a snapshot. */
export function citing(snapshot: MeshSnapshot): Cite {
  const objects = new Map(snapshot.map((placed) => [placeOf(placed), placed.object]));
  return (ref, field) => {
    const object = objects.get(refKey(ref));
    const value = field === "" ? undefined : valueAt(object, field);
    return { ref, field, ...(value !== undefined && { value }) };
  };
}

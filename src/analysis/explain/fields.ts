import type { ObjectRef } from "#api/meta.ts";
import { valueAt } from "../field-path.ts";
import type { MeshSnapshot } from "../snapshot.ts";
import type { Reason } from "./explanation.ts";

/** Makes reasons of references to fields, with what stands there. */
export type Cite = (ref: ObjectRef, field: string) => Reason;

function keyOf(kind: string, namespace: string | undefined, name: string, cluster: string): string {
  return [kind, namespace, name, cluster].join("/");
}

/** A way to cite the objects of a snapshot. */
export function citing(snapshot: MeshSnapshot): Cite {
  const objects = new Map(
    snapshot.map(({ object, cluster }) => {
      const { namespace, name } = object.metadata;
      return [keyOf(object.kind, namespace, name, cluster), object] as const;
    }),
  );
  return (ref, field) => {
    const object = objects.get(keyOf(ref.kind, ref.namespace, ref.name, ref.cluster ?? ""));
    const value = field === "" ? undefined : valueAt(object, field);
    return { ref, field, ...(value !== undefined && { value }) };
  };
}

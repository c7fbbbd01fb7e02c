import { valueAt } from "../columns.ts";
import type { Column } from "../kind.ts";
import type { ResourceObject } from "../meta.ts";

/** How many proxies of a cluster hold what an object says now; a member of its status. */
export interface ClusterHolding {
  /** The cluster's name; empty for proxies that tell none. */
  readonly cluster: string;
  /** Proxies of the cluster that are connected: each is sent whatever of the object concerns it. */
  readonly proxies: number;
  /** Those of them that have taken all that they were sent. */
  readonly holding: number;
}

/** The member of an object's status that tells who holds it; Weft's own, in what Istio leaves open. */
export function heldIn(object: ResourceObject): readonly ClusterHolding[] {
  const told = valueAt(object, "status", "held");
  return Array.isArray(told) ? (told as readonly ClusterHolding[]) : [];
}

/** Who holds an object, in one cell: `east 3/3, west 1/2`. */
export const heldColumn: Column = {
  name: "Held",
  type: "string",
  description: "Of each cluster, how many of its proxies hold what the object says.",
  wide: true,
  cell: (object) =>
    heldIn(object)
      .map(({ cluster, proxies, holding }) => `${cluster || "-"} ${holding}/${proxies}`)
      .join(", "),
};

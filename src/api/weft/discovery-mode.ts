import { choice } from "../schema.ts";

/** How much of the mesh proxies hold: all that their workloads may call, or only what these call. */
export const discoveryModes = ["All", "OnDemand"] as const;
/** One of them. */
export type DiscoveryMode = (typeof discoveryModes)[number];

/** The label of Namespaces, and the annotation of Pods, that says which. */
export const discoveryKey = "mesh.weft.dev/discovery";

/** The mode that a label or an annotation says; undefined for any other word. */
export function discoveryMode(text: string | undefined): DiscoveryMode | undefined {
  return discoveryModes.find((mode) => mode === text);
}

/** The field that says which. */
export const discoveryField = choice(
  "What proxies hold: All that their workloads may call, or OnDemand, only what these have called before or are declared to call, and the rest on first use.",
  discoveryModes,
);

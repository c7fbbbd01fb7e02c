import { memberNamespace } from "#api/member-api.ts";

/**
 * The ConfigMap of a member in which stands which namespaces went while the mesh could not be asked for what is in them. The mesh reads
 * it when it is back, does what it missed, and takes the entries away. Keys are namespaces, values when each went.
 */
export const departedConfigMap = { namespace: memberNamespace, name: "weft-departed-namespaces" } as const;

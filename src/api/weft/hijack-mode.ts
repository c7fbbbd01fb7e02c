import { choice } from "../schema.ts";

/** By what connections of workloads are led to their proxies. */
export const hijackModes = ["iptables", "ebpf"] as const;
/** One of them. */
export type HijackMode = (typeof hijackModes)[number];

/** The label of Namespaces, and the annotation of Pods, that says which. */
export const hijackKey = "mesh.weft.dev/hijack";

/** The annotation of Pods by which proxies of one node speak past TCP, where both sides have it: "true". */
export const sockmapKey = "mesh.weft.dev/sockmap";

/** The mode that a label or an annotation says; undefined for any other word. */
export function hijackMode(text: string | undefined): HijackMode | undefined {
  return hijackModes.find((mode) => mode === text);
}

/** The field that says which. */
export const hijackField = choice(
  "How connections of workloads are led to their proxies: by rules of iptables, or by programs in the kernel, ebpf. As each agent is told unless set.",
  hijackModes,
);

import type { Pod } from "#api/kubernetes/pod.ts";
import { WeftError } from "#base/errors.ts";

export const hijackModes = ["iptables", "ebpf"] as const;
/** By what a Pod's connections are led to its proxy. */
export type HijackMode = (typeof hijackModes)[number];

/** The annotation that says so for one Pod. */
export const hijackAnnotation = "mesh.weft.dev/hijack";

/**
 * How a Pod's connections are to be led.
 * @param usual where the Pod does not say.
 * @throws WeftError `InvalidArgument` for a word that is none of them.
 */
export function hijackMode(pod: Pod, usual: HijackMode): HijackMode {
  const word = pod.metadata.annotations?.[hijackAnnotation] ?? usual;
  if (word === "iptables" || word === "ebpf") return word;
  throw new WeftError("InvalidArgument", `annotation ${hijackAnnotation}: "${word}" is neither iptables nor ebpf`);
}

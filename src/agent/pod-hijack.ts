import type { Pod } from "#api/kubernetes/pod.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { type CaptureOptions, applyCapture } from "#runtime/capture.ts";
import { Hijack } from "#runtime/hijack.ts";

export const hijackModes = ["iptables", "ebpf"] as const;
/** By what a Pod's connections are led to its proxy. */
export type HijackMode = (typeof hijackModes)[number];

/** The annotation that says so for one Pod, when it is started. */
export const hijackAnnotation = "mesh.weft.dev/hijack";

/** How a Pod's connections are led; not as was wanted where the kernel cannot. */
export interface HijackRecord {
  readonly mode: HijackMode;
  /** By what the kernel's programs know the Pod. */
  readonly known?: string;
}

/** What is led. */
export interface LedPod {
  readonly namespace: string;
  readonly address: string;
  readonly capture: CaptureOptions;
}

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

interface NodeHijackOptions {
  /** Folder of the kernel's programs; without it all Pods are led by iptables. */
  readonly programs?: string;
  /** Tells the node's Pods from those of others on the machine. */
  readonly name: string;
  readonly logger: Logger;
}

/** Leads the connections of a node's Pods, each in its way. */
export class NodeHijack {
  readonly #hijack: Hijack | undefined;
  readonly #logger: Logger;
  #attached: Promise<void> | undefined;

  constructor({ programs, name, logger }: NodeHijackOptions) {
    this.#hijack = programs === undefined ? undefined : new Hijack(programs, name);
    this.#logger = logger;
  }

  /** Leads the connections of a Pod that has none yet as wanted, or by iptables where the kernel cannot do that. */
  async lead(pod: LedPod, wanted: HijackMode): Promise<HijackRecord> {
    if (wanted === "ebpf") {
      try {
        return { mode: "ebpf", known: await this.#add(pod) };
      } catch (error) {
        this.#logger.warn("a Pod is led by iptables instead of eBPF", { pod: pod.namespace, error: messageOf(error) });
      }
    }
    await applyCapture(pod.namespace, pod.capture);
    return { mode: "iptables" };
  }

  /** Takes back what the kernel knows of a Pod; with the last one goes all that is in the kernel. */
  async forget({ known }: HijackRecord): Promise<void> {
    if (known === undefined || !this.#hijack) return;
    await this.#hijack.remove(known);
    if (this.#hijack.leads) return;
    this.#attached = undefined;
    this.#hijack.detach();
  }

  async #add({ namespace, address, capture }: LedPod): Promise<string> {
    const hijack = this.#hijack;
    if (!hijack) throw new WeftError("Unsupported", "this agent has no eBPF programs: give it --hijack-programs");
    this.#attached ??= hijack.attach();
    try {
      await this.#attached;
    } catch (error) {
      // The next Pod tries again.
      this.#attached = undefined;
      throw error;
    }
    return hijack.add({ namespace, addresses: [address], capture });
  }
}

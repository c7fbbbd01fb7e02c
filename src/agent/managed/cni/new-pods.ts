import { existsSync, statSync } from "node:fs";
import { pod as podKind, type Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { KindClient, Client } from "#kube/client.ts";
import type { EventText } from "#kube/events.ts";
import type { ManagedPods } from "../managed-pods.ts";
import { sandboxOf } from "../pod-places.ts";
import { isManaged } from "../selection.ts";
import type { CniError, CniRequest } from "./mailbox.ts";

/** Where new Pods are decided about. */
export interface NewPodsOptions {
  readonly client: Client;
  /** The Pod as last seen. */
  readonly known: (namespace: string, name: string) => Pod | undefined;
  /** Labels of a namespace as they are now, or were last. @throws WeftError `Unavailable` when they are not known. */
  readonly namespaceLabels: (name: string) => StringMap;
  readonly pods: Pick<ManagedPods, "capture">;
  /** How the proxy of a Pod stands; `gone` for a Pod that has ended or gets none any more. */
  readonly standing: (uid: string) => ProxyStanding;
  readonly tell: (pod: Pod, text: EventText) => void;
  readonly clock: Clock;
  /** The root of the node's files; as one sees it who shares its processes unless told. */
  readonly root?: string;
}

/** Whether a Pod's proxy takes its connections, and callers know. */
export type ProxyStanding = "ready" | "waiting" | "gone";

/** How long a new Pod's containers wait for its proxy. The plugin waits longer for its answer, and a kubelet longer for the plugin. */
const proxyMs = 20_000;
/** How often is looked whether it is ready. */
const lookMs = 50;

/** A file of the node. Links with absolute targets would be followed from here, such as that of /var/run. */
function onNode(path: string, root = "/proc/1/root"): string {
  const place = `${root}${path}`;
  return existsSync(place) ? place : `${root}${path.replace(/^\/var\/run\//, "/run/")}`;
}

/** Has the traffic of new Pods captured, and their proxies ready, before any of their containers starts. */
export class NewPods {
  readonly #options: NewPodsOptions;
  readonly #client: KindClient<Pod>;

  constructor(options: NewPodsOptions) {
    this.#options = options;
    this.#client = options.client.of<Pod>(podKind);
  }

  /**
   * Captures a Pod that gets a sidecar, and waits for that, within limits: a Pod whose proxy is late starts cut off.
   * @returns what stands in its way, in words.
   */
  async add(request: CniRequest): Promise<CniError | undefined> {
    const { namespace, pod: name, network, address } = request;
    try {
      const pod = await this.#pod(request);
      if (!pod || !isManaged(pod, this.#options.namespaceLabels(namespace))) return undefined;
      if (address === undefined)
        return { code: 7, message: `${namespace}/${name} has no address of IPv4 from the plugins before weft-cni` };
      const file = onNode(network, this.#options.root);
      const sandbox = { address, network: file, sandbox: sandboxOf(statSync(file).ino) };
      await this.#awaitProxy(pod, await this.#options.pods.capture(pod, sandbox));
      return undefined;
    } catch (error) {
      const code = codeOf(error) === "InvalidArgument" ? 7 : 11;
      return { code, message: `${namespace}/${name} gets no sidecar: ${messageOf(error)}` };
    }
  }

  /** @param starts whether the proxy can start before the Pod's first process. */
  async #awaitProxy(pod: Pod, starts: boolean): Promise<void> {
    const { clock, standing, tell } = this.#options;
    const end = clock.monotonic() + (starts ? proxyMs : 0);
    while (clock.monotonic() < end) {
      if (standing(pod.metadata.uid) !== "waiting") return;
      await clock.sleep(lookMs);
    }
    const why = starts
      ? `is not ready after ${proxyMs / 1000} s`
      : "cannot start before them: the node has no control group of the Pod yet";
    const message = `The Pod's containers start before its proxy, which ${why}: until it is, nothing gets in or out but probes`;
    tell(pod, { type: "Warning", reason: "ProxyNotReady", message });
  }

  /** The Pod that a request is about, as the API has it where it is not known yet; undefined for one that the API does not tell by its UID. */
  async #pod({ namespace, pod: name, uid }: CniRequest): Promise<Pod | undefined> {
    const isMeant = (pod: Pod | undefined): boolean => pod !== undefined && (uid === "" || pod.metadata.uid === uid);
    const known = this.#options.known(namespace, name);
    if (isMeant(known)) return known;
    const found = await this.#client.find({ namespace, name });
    return isMeant(found) ? found : undefined;
  }
}

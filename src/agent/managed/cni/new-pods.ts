import { existsSync, statSync } from "node:fs";
import { pod as podKind, type Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { KindClient, Client } from "#kube/client.ts";
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
  readonly pods: ManagedPods;
}

/** The root of the node's files, as one sees it who shares its processes. */
const nodeRoot = "/proc/1/root";

/** A file of the node. Links with absolute targets would be followed from here, such as that of /var/run. */
function onNode(path: string): string {
  const place = `${nodeRoot}${path}`;
  return existsSync(place) ? place : `${nodeRoot}${path.replace(/^\/var\/run\//, "/run/")}`;
}

/** Has the traffic of new Pods captured before any of their containers starts. */
export class NewPods {
  readonly #options: NewPodsOptions;
  readonly #client: KindClient<Pod>;

  constructor(options: NewPodsOptions) {
    this.#options = options;
    this.#client = options.client.of<Pod>(podKind);
  }

  /** Captures a Pod that gets a sidecar; what stands in its way, in words. */
  async add(request: CniRequest): Promise<CniError | undefined> {
    const { namespace, pod: name, network, address } = request;
    try {
      const pod = await this.#pod(request);
      if (!pod || !isManaged(pod, this.#options.namespaceLabels(namespace))) return undefined;
      if (address === undefined)
        return { code: 7, message: `${namespace}/${name} has no address of IPv4 from the plugins before weft-cni` };
      const file = onNode(network);
      await this.#options.pods.capture(pod, {
        address,
        network: file,
        sandbox: sandboxOf(statSync(file).ino),
      });
      return undefined;
    } catch (error) {
      const code = codeOf(error) === "InvalidArgument" ? 7 : 11;
      return { code, message: `${namespace}/${name} gets no sidecar: ${messageOf(error)}` };
    }
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

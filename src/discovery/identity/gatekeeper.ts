import type { StringMap } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";
import type { Call } from "#grpc/server.ts";
import type { Caller } from "#identity/caller.ts";
import type { Callers } from "#identity/callers.ts";
import { agentPlace, checkBound, type NodeAccounts } from "#identity/impersonation.ts";
import { spiffeId } from "#identity/spiffe.ts";
import { lenientKey } from "#translate/proxy-class.ts";
import type { Admit, Gatekeeper } from "#xds/gatekeeper.ts";
import type { ProxyNode } from "#xds/port.ts";
import { nodeParts } from "../proxy-object.ts";
import type { PodPlace, PodPlaces } from "./pod-places.ts";
import type { SecretRights } from "./secret-rights.ts";

function textOf(node: ProxyNode, name: string): string {
  const { [name]: value } = node.metadata;
  return typeof value === "string" ? value : "";
}

/** The namespace that configuration is made for: the metadata's, or that of the id's domain. */
function servedNamespace(node: ProxyNode): string {
  const [, , , domain = ""] = node.id.split("~");
  return textOf(node, "NAMESPACE") || (domain.split(".")[0] ?? "");
}

/** Where a proxy runs: by its own word, or by labels that it claims; nobody else is concerned by that. */
function localityOf({ locality, metadata: { LABELS: claimed } }: ProxyNode): ProxyNode["locality"] {
  if (locality.region !== "" || typeof claimed !== "object" || claimed === null) return locality;
  const labelled = (name: string): string => {
    const value = (claimed as StringMap)[name];
    return typeof value === "string" ? value : "";
  };
  return {
    region: labelled("topology.kubernetes.io/region"),
    zone: labelled("topology.kubernetes.io/zone"),
    subzone: labelled("topology.istio.io/subzone"),
  };
}

/** What the proxy says of itself, with its Pod's labels and no others: any may choose configuration and credentials. */
function withLabels(node: ProxyNode, { labels }: PodPlace): ProxyNode {
  return { ...node, locality: localityOf(node), metadata: { ...node.metadata, LABELS: labels } };
}

/** The same without what the agents of nodes alone may say of a proxy. */
function withoutAgentsWord(node: ProxyNode): ProxyNode {
  const { [lenientKey]: _claimed, ...metadata } = node.metadata;
  return { ...node, metadata };
}

/** What deciding needs. */
export interface GatekeeperOptions {
  readonly callers: Callers;
  readonly pods: PodPlaces;
  /** Of node agents. */
  readonly accounts: NodeAccounts;
  readonly rights: SecretRights;
  /** Whether what a proxy gets depends on whether its account may read Secrets. */
  readonly readsSecrets: (node: ProxyNode) => boolean;
}

/** Lets a stream be that of a proxy only if its caller is that proxy's workload, or the agent of its node. */
export class ProxyGatekeeper implements Gatekeeper {
  readonly #options: GatekeeperOptions;

  constructor(options: GatekeeperOptions) {
    this.#options = options;
  }

  async callerOf(call: Call): Promise<Admit> {
    // Who reaches a plain address is let in by its permissions alone.
    if (!call.secure) return async (node) => node;
    const { callers, pods } = this.#options;
    const caller = await callers.of(call);
    checkBound(caller, pods);
    const certificate = caller.cluster === undefined ? call.certificate : undefined;
    let uid: string | undefined;
    return async (node) => {
      await callers.stillGood(caller, certificate);
      const place = this.#placeOf(caller, node);
      // Its name may be that of another Pod by now.
      uid ??= place.uid;
      if (uid !== place.uid) throw new WeftError("Unauthenticated", `the Pod of the proxy ${node.id} is gone`);
      const said = this.#isAgentOf(caller, place) ? node : withoutAgentsWord(node);
      return this.#served(withLabels(said, place), place);
    };
  }

  /** The proxy, and whether it may read Secrets. */
  async #served(node: ProxyNode, { serviceAccount }: PodPlace): Promise<ProxyNode> {
    const { rights, readsSecrets } = this.#options;
    const { namespace } = nodeParts(node.id);
    const account = { cluster: textOf(node, "CLUSTER_ID"), namespace, serviceAccount };
    return readsSecrets(node) && (await rights.mayRead(account)) ? node : { ...node, withoutSecrets: true };
  }

  #placeOf(caller: Caller, node: ProxyNode): PodPlace {
    const { pod, namespace } = nodeParts(node.id);
    const cluster = textOf(node, "CLUSTER_ID");
    const refuse = (why: string): WeftError =>
      new WeftError("PermissionDenied", `${spiffeId(caller)} may not be the proxy ${node.id} (${cluster}): ${why}`);
    if (caller.cluster !== undefined && caller.cluster !== cluster) throw refuse("it is of another cluster");
    if (servedNamespace(node) !== namespace) throw refuse("its metadata name another namespace");
    const place = this.#options.pods.pod(cluster, namespace, pod);
    if (!place) throw refuse("there is no such Pod");
    if (!this.#speaksFor(caller, { namespace, place, pod })) throw refuse("it is another workload's");
    return place;
  }

  /** Whether a caller is the agent of a Pod's node. */
  #isAgentOf(caller: Caller, { node }: PodPlace): boolean {
    const agent = agentPlace(caller, this.#options.accounts, this.#options.pods);
    return agent !== undefined && agent.node === node;
  }

  #speaksFor(
    caller: Caller,
    proxy: { readonly namespace: string; readonly pod: string; readonly place: PodPlace },
  ): boolean {
    const { namespace, pod, place } = proxy;
    if (this.#isAgentOf(caller, place)) return true;
    if (caller.namespace !== namespace || caller.serviceAccount !== place.serviceAccount) return false;
    // A token that is bound to a Pod speaks for no other of the same account.
    return caller.pod === undefined || caller.pod.name === pod;
  }
}

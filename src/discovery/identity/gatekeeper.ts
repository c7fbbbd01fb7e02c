import type { StringMap } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";
import type { Call } from "#grpc/server.ts";
import type { Caller } from "#identity/caller.ts";
import type { Callers } from "#identity/callers.ts";
import { agentPlace, checkBound, type NodeAccounts } from "#identity/impersonation.ts";
import { spiffeId } from "#identity/spiffe.ts";
import type { Admit, Gatekeeper } from "#xds/gatekeeper.ts";
import type { ProxyNode } from "#xds/port.ts";
import { nodeParts } from "../proxy-object.ts";
import type { PodPlace, PodPlaces } from "./pod-places.ts";

/** Labels that an agent adds to its Pod's own. They choose no configuration of another workload. */
const added = [
  "service.istio.io/canonical-",
  "topology.kubernetes.io/",
  "topology.istio.io/",
  "kubernetes.io/hostname",
];

function textOf(node: ProxyNode, name: string): string {
  const { [name]: value } = node.metadata;
  return typeof value === "string" ? value : "";
}

/** The namespace that configuration is made for: the metadata's, or that of the id's domain. */
function servedNamespace(node: ProxyNode): string {
  const [, , , domain = ""] = node.id.split("~");
  return textOf(node, "NAMESPACE") || (domain.split(".")[0] ?? "");
}

/** What the proxy says of itself, with its Pod's own labels: by those it gets configuration and credentials. */
function withLabels(node: ProxyNode, { labels }: PodPlace): ProxyNode {
  const { LABELS: claimed } = node.metadata;
  const entries = typeof claimed === "object" && claimed !== null ? Object.entries(claimed as StringMap) : [];
  const kept = entries.filter(([key]) => added.some((prefix) => key.startsWith(prefix)));
  return { ...node, metadata: { ...node.metadata, LABELS: { ...Object.fromEntries(kept), ...labels } } };
}

/** Lets a stream be that of a proxy only if its caller is that proxy's workload, or the agent of its node. */
export class ProxyGatekeeper implements Gatekeeper {
  readonly #callers: Callers;
  readonly #pods: PodPlaces;
  readonly #accounts: NodeAccounts;

  /** @param accounts of node agents. */
  constructor(callers: Callers, pods: PodPlaces, accounts: NodeAccounts) {
    this.#callers = callers;
    this.#pods = pods;
    this.#accounts = accounts;
  }

  async callerOf(call: Call): Promise<Admit> {
    // Who reaches a plain address is let in by its permissions alone.
    if (!call.secure) return (node) => node;
    const caller = await this.#callers.of(call);
    checkBound(caller, this.#pods);
    return (node) => this.#admit(caller, node);
  }

  #admit(caller: Caller, node: ProxyNode): ProxyNode {
    const { pod, namespace } = nodeParts(node.id);
    const cluster = textOf(node, "CLUSTER_ID");
    const refuse = (why: string): WeftError =>
      new WeftError("PermissionDenied", `${spiffeId(caller)} may not be the proxy ${node.id} (${cluster}): ${why}`);
    if (caller.cluster !== undefined && caller.cluster !== cluster) throw refuse("it is of another cluster");
    if (servedNamespace(node) !== namespace) throw refuse("its metadata name another namespace");
    const place = this.#pods.pod(cluster, namespace, pod);
    if (!place) throw refuse("there is no such Pod");
    if (!this.#speaksFor(caller, { namespace, place, pod })) throw refuse("it is another workload's");
    return withLabels(node, place);
  }

  #speaksFor(
    caller: Caller,
    proxy: { readonly namespace: string; readonly pod: string; readonly place: PodPlace },
  ): boolean {
    const { namespace, pod, place } = proxy;
    const agent = agentPlace(caller, this.#accounts, this.#pods);
    if (agent && agent.node === place.node) return true;
    if (caller.namespace !== namespace || caller.serviceAccount !== place.serviceAccount) return false;
    // A token that is bound to a Pod speaks for no other of the same account.
    return caller.pod === undefined || caller.pod.name === pod;
  }
}

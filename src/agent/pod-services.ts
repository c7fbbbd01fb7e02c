import { join } from "node:path";
import type { Pod } from "#api/kubernetes/pod.ts";
import { timestamp } from "#base/timestamp.ts";
import { connectInside } from "#runtime/namespace-socket.ts";
import { proxyDnsPort } from "./dns/service.ts";
import { proxyGroup, proxyUser } from "./layout.ts";
import { keep } from "./node-context.ts";
import type { ProxyContext } from "./node-context.ts";
import { proxyNode } from "./node-metadata.ts";
import { ProxySocket } from "./proxy-socket.ts";
import { xdsSocketName } from "./proxy.ts";
import type { ProxyRecord } from "./records.ts";
import { Relay } from "./relay.ts";
import type { WorkloadIdentity } from "./workload-identities.ts";

/** What the agent serves to a Pod's proxy. */
export interface ProxyServices {
  /** The node id of the proxy. */
  readonly node: string;
  readonly socket: ProxySocket;
  readonly relay: Relay;
  /** Its certificate, where workloads have one. */
  readonly identity?: WorkloadIdentity;
}

/** Opens what a Pod's proxy needs of the agent: its way to the control plane, its secrets; and has the Pod's names served. */
export async function openServices(context: ProxyContext, record: ProxyRecord): Promise<ProxyServices> {
  const { options, layout, names, logger } = context;
  const { pod, role, address, baseId } = record;
  if (role === "none" || baseId === undefined) throw new TypeError("a Pod without a proxy needs no relay");
  const { uid, namespace = "" } = pod.metadata;
  const { resolvers } = record;
  // Where proxies ask others, Pods do as well, unless they are to ask the agent.
  if (options.nameServers === undefined || resolvers !== undefined)
    names?.add(uid, {
      network: context.site(pod).network,
      namespace,
      clusterDomain: options.clusterDomain,
      ...(resolvers && { resolvers, sharesDomain: true }),
    });
  const { id: node } = proxyNode({ pod, role, address, agent: options });
  const relay = new Relay({
    identity: { id: node, namespace, cluster: options.cluster },
    upstream: context.xds(record),
    onNames: ({ table }) => names?.setHosts(uid, table),
    onSettings: (settings) => {
      record.settings = settings;
      keep(context, record);
    },
    clock: context.clock,
    logger,
  });
  const socket = join(layout.pod(uid).proxy, xdsSocketName);
  const identity = holdIdentity(context, pod);
  const services = identity ? [relay, identity] : [relay];
  const owner = { uid: proxyUser(baseId), gid: proxyGroup };
  return { node, socket: await ProxySocket.open({ socket, ...owner, services }), relay, ...(identity && { identity }) };
}

/** Holds the Pod's certificate, and tells when it is not renewed in time. */
function holdIdentity(context: ProxyContext, pod: Pod): WorkloadIdentity | undefined {
  let told: string | undefined;
  const identity = context.identities?.hold(pod, () => {
    const { phase, notAfter, problem = "" } = identity?.state ?? { phase: "Waiting" };
    context.wake(pod.metadata.uid);
    if (phase === told) return;
    told = phase;
    if (notAfter === undefined || phase === "Valid") return;
    const end = `${phase === "Expired" ? "expired" : "expires"} at ${timestamp(notAfter)}`;
    const message = `The certificate of the Pod's proxy ${end} and is not renewed: ${problem}`;
    context.tell(pod, { type: "Warning", reason: `Certificate${phase}`, message: message.slice(0, 1000) });
    context.logger.warn("a certificate is not renewed", { pod: pod.metadata.name, end, problem });
  });
  return identity;
}

/** Milliseconds that the node's name server gets to serve a new Pod. */
const namesMs = 3000;
const namesAgainMs = 100;

/**
 * Waits, within limits, until a new Pod's names are served: a proxy whose first lookup fails has no addresses for as long as it
 * takes until it looks again, which is a minute.
 */
export async function awaitNames(context: ProxyContext, { pod }: ProxyRecord): Promise<void> {
  const { clock, names } = context;
  if (names === undefined) return;
  const end = clock.monotonic() + namesMs;
  while (clock.monotonic() < end) {
    try {
      const at = { host: "127.0.0.1", port: proxyDnsPort };
      const socket = await connectInside(context.site(pod).network, at);
      socket.destroy();
      return;
    } catch {
      await clock.sleep(namesAgainMs);
    }
  }
}

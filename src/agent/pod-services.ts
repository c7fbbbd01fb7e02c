import { join } from "node:path";
import { connectInside } from "#runtime/namespace-socket.ts";
import { proxyDnsPort } from "./dns/service.ts";
import { proxyUid } from "./layout.ts";
import { keep } from "./node-context.ts";
import type { NodeContext } from "./node-context.ts";
import { proxyNode } from "./node-metadata.ts";
import { podNetwork } from "./pod-start.ts";
import { ProxySocket } from "./proxy-socket.ts";
import { xdsSocketName } from "./proxy.ts";
import type { PodRecord } from "./records.ts";
import { Relay } from "./relay.ts";

/** Opens what a Pod's proxy needs of the agent: its way to the control plane; and has the Pod's names served. */
export async function openProxySocket(context: NodeContext, record: PodRecord): Promise<ProxySocket> {
  const { options, layout, names, logger } = context;
  const { pod, role, address } = record;
  if (role === "none") throw new TypeError("a Pod without a proxy needs no relay");
  const { uid, namespace = "" } = pod.metadata;
  names.add(uid, { network: podNetwork(context, pod), namespace, clusterDomain: options.clusterDomain });
  const relay = new Relay({
    identity: { id: proxyNode({ pod, role, address, agent: options }).id, namespace, cluster: options.cluster },
    upstream: context.xds,
    onNames: ({ table }) => names.setHosts(uid, table),
    onSettings: (settings) => {
      record.settings = settings;
      keep(context, record);
    },
    logger,
  });
  const socket = join(layout.pod(uid).proxy, xdsSocketName);
  return ProxySocket.open({ socket, uid: proxyUid, services: [relay] });
}

/** Milliseconds that the node's name server gets to serve a new Pod. */
const namesMs = 3000;
const namesAgainMs = 100;

/**
 * Waits, within limits, until a new Pod's names are served: a proxy whose first lookup fails has no addresses for as long as it
 * takes until it looks again, which is a minute.
 */
export async function awaitNames(context: NodeContext, { pod }: PodRecord): Promise<void> {
  const { clock } = context;
  const end = clock.monotonic() + namesMs;
  while (clock.monotonic() < end) {
    try {
      const at = { host: "127.0.0.1", port: proxyDnsPort };
      const socket = await connectInside(podNetwork(context, pod), at);
      socket.destroy();
      return;
    } catch {
      await clock.sleep(namesAgainMs);
    }
  }
}

import { join } from "node:path";
import { proxyUid } from "./layout.ts";
import { keep } from "./node-context.ts";
import type { NodeContext } from "./node-context.ts";
import { proxyNode } from "./node-metadata.ts";
import { podNetwork } from "./pod-start.ts";
import { xdsSocketName } from "./proxy.ts";
import type { PodRecord } from "./records.ts";
import { Relay } from "./relay.ts";

/** Opens what a Pod's proxy needs of the agent: its way to the control plane; and has the Pod's names served. */
export async function openRelay(context: NodeContext, record: PodRecord): Promise<Relay> {
  const { options, layout, names, logger } = context;
  const { pod, role, address } = record;
  if (role === "none") throw new TypeError("a Pod without a proxy needs no relay");
  const { uid, namespace = "" } = pod.metadata;
  if (role === "sidecar")
    names.add(uid, { network: podNetwork(context, pod), namespace, clusterDomain: options.clusterDomain });
  return Relay.open({
    socket: join(layout.pod(uid).proxy, xdsSocketName),
    uid: proxyUid,
    identity: { id: proxyNode({ pod, role, address, agent: options }).id, namespace, cluster: options.cluster },
    upstream: options.xds,
    onNames: ({ table }) => names.setHosts(uid, table),
    onSettings: (settings) => {
      record.settings = settings;
      keep(context, record);
    },
    logger,
  });
}

import { join } from "node:path";
import type { Logger } from "#base/logger.ts";
import { bindInside, listenInside } from "#runtime/namespace-socket.ts";
import { DnsServer } from "./dns/server.ts";
import { LookupTable } from "./dns/table.ts";
import type { NodeContext } from "./node-context.ts";
import { proxyNode } from "./node-metadata.ts";
import { podNetwork } from "./pod-start.ts";
import { proxyUid } from "./layout.ts";
import { xdsSocketName } from "./proxy.ts";
import type { PodRecord } from "./records.ts";
import { Relay } from "./relay.ts";

/** Port of the agent's name server in each Pod, as Istio's. */
export const dnsPort = 15053;

/** What an agent serves to one Pod: its proxy's way to the control plane, and names. Ends with the agent, or with the Pod. */
export class PodServices implements AsyncDisposable {
  readonly #relay: Relay;
  readonly #dns: DnsServer | undefined;

  private constructor(relay: Relay, dns: DnsServer | undefined) {
    this.#relay = relay;
    this.#dns = dns;
  }

  /** Opens the sockets in the Pod's namespace and in its proxy's folder. */
  static async open(context: NodeContext, record: PodRecord, logger: Logger): Promise<PodServices> {
    const { pod, role, address } = record;
    if (role === "none") throw new TypeError("a Pod without a proxy has no services");
    const dns = role === "sidecar" ? await openDns(context, record) : undefined;
    const place = { namespace: pod.metadata.namespace ?? "", clusterDomain: context.options.clusterDomain };
    try {
      const relay = await Relay.open({
        socket: join(context.layout.pod(pod.metadata.uid).proxy, xdsSocketName),
        uid: proxyUid,
        nodeId: proxyNode({ pod, role, address, agent: context.options }).id,
        upstream: context.options.xds,
        onNames: ({ table }) => dns?.setTable(new LookupTable(table, place)),
        logger,
      });
      return new PodServices(relay, dns);
    } catch (error) {
      dns?.[Symbol.dispose]();
      throw error;
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#dns?.[Symbol.dispose]();
    await this.#relay[Symbol.asyncDispose]();
  }
}

async function openDns(context: NodeContext, record: PodRecord): Promise<DnsServer> {
  const network = podNetwork(context, record.pod);
  // Sockets of the proxy's user: capture rules leave their traffic alone and track it apart.
  const at = { host: "127.0.0.1", port: dnsPort, uid: proxyUid };
  const [udp, tcp] = await Promise.allSettled([bindInside(network, at), listenInside(network, at)]);
  if (udp.status === "fulfilled" && tcp.status === "fulfilled")
    return new DnsServer({ udp: udp.value, tcp: tcp.value }, context.resolver);
  if (udp.status === "fulfilled") udp.value.close();
  if (tcp.status === "fulfilled") tcp.value.close();
  throw udp.status === "rejected" ? (udp.reason as Error) : ((tcp as PromiseRejectedResult).reason as Error);
}

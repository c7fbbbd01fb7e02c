import type { Engine } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type Client, clientKey } from "#model/client.ts";
import { resolveHost } from "#model/hosts.ts";
import type { Model } from "#model/model.ts";
import { only } from "#model/services.ts";
import { blackHoleCluster, clusterName, passthroughCluster } from "./names.ts";

/** What becomes of traffic that no service claims: Istio's `outboundTrafficPolicy`. */
export interface UnclaimedTraffic {
  /** Name of the cluster that takes it. */
  readonly cluster: string;
  /** Present where plain HTTP goes to the host that a request is for, looked up by the proxy, instead. */
  readonly looksUp?: true;
}

/** Whether unclaimed traffic is dropped. */
export function isDropped({ cluster }: UnclaimedTraffic): boolean {
  return cluster === blackHoleCluster;
}

/** What becomes of a client's unclaimed traffic: what its Sidecar says, else what the mesh does. */
export type UnclaimedQuery = Query<Client, UnclaimedTraffic>;

/** Declares the query about unclaimed traffic. */
export function unclaimedQuery(engine: Engine, model: Model): UnclaimedQuery {
  return engine.query({
    name: "unclaimed-traffic",
    key: clientKey,
    compute: (client) => {
      const row = model.clients.sidecar(client);
      const policy = row?.spec.outboundTrafficPolicy;
      const mode = policy?.mode ?? model.services.mesh.get(only).outboundTrafficPolicy.mode;
      if (mode === "ALLOW_ANY_DYNAMIC_DNS") return { cluster: passthroughCluster, looksUp: true };
      if (mode === "REGISTRY_ONLY") return { cluster: blackHoleCluster };
      const proxy = policy?.egressProxy;
      if (!row || !proxy) return { cluster: passthroughCluster };
      const { host, subset = "", port } = proxy;
      return { cluster: clusterName("outbound", port?.number ?? 0, subset, resolveHost(host, row.namespace)) };
    },
  });
}

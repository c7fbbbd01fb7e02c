import { clone } from "@bufbuild/protobuf";
import { type Cluster, ClusterSchema } from "#proto/gen/envoy/config/cluster/v3/cluster_pb.js";
import { TransportSocketSchema } from "#proto/gen/envoy/config/core/v3/base_pb.js";
import { parseClusterName } from "../names.ts";
import type { PatchTools } from "./filters.ts";
import { mergeMessage } from "#proto/merge.ts";
import { isMerge, type Match } from "./patch.ts";
import { listsOf, mergeSocket } from "./transport.ts";

/**
 * Whether a patch is for a cluster.
 * @param hosts the services behind an inbound cluster, whose name has none.
 */
export function meetsCluster(name: string, hosts: readonly string[], { cluster: wanted = {} }: Match): boolean {
  if (wanted.name !== undefined && wanted.name !== "") return wanted.name === name;
  const { subset = "", service = "", portNumber = 0 } = wanted;
  const parsed = parseClusterName(name);
  const behind = parsed?.direction === "inbound" && hosts.length > 0 ? hosts : [parsed?.host ?? ""];
  return (
    (subset === "" || subset === parsed?.subset) &&
    (service === "" || behind.includes(service)) &&
    (portNumber === 0 || portNumber === parsed?.port)
  );
}

/** Gives a cluster the transport socket of a patch. As in Istio nothing else of such a patch counts. */
function patchSocket(cluster: Cluster, { transportSocket: wanted }: Cluster, { registry }: PatchTools): boolean {
  if (!wanted) return false;
  const matches = cluster.transportSocketMatches.map((match) => match.transportSocket);
  if (matches.length > 0) {
    // A cluster has either one socket or a choice of them: a patch of another name has no place.
    mergeSocket(
      matches.find((socket) => socket?.name === wanted.name),
      wanted,
      registry,
    );
  } else if (!mergeSocket(cluster.transportSocket, wanted, registry)) {
    cluster.transportSocket = clone(TransportSocketSchema, wanted);
  }
  return true;
}

/** Applies the patches for a cluster. Gives undefined when one takes it away. */
export function patchCluster(cluster: Cluster, hosts: readonly string[], tools: PatchTools): Cluster | undefined {
  const { name } = cluster;
  for (const patch of tools.patches.of("CLUSTER", tools.context)) {
    if (!meetsCluster(name, hosts, patch.match)) continue;
    if (patch.operation === "REMOVE") return undefined;
    if (isMerge(patch.operation) && !patchSocket(cluster, patch.value, tools)) {
      mergeMessage(ClusterSchema, cluster, patch.value, listsOf(patch.operation));
    }
  }
  // Routes and proxies ask for it by this name.
  cluster.name = name;
  return cluster;
}

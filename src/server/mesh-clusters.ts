import { resourceName } from "#api/kind.ts";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import type { NamespaceHolder } from "#apiserver/members/member.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { namespaceStateOf } from "#controllers/aggregation/namespace-state.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { accessOf, kubeconfigKey, type Access } from "#sources/members/access.ts";
import { remoteSecretLabel } from "#sources/members/remote-secrets.ts";
import type { ResourceStore } from "#store/port.ts";
import type { ServedCluster } from "./members.ts";

/** Where the mesh's own objects are, and its root namespace. */
const partition = "mesh";
const rootNamespace = "istio-system";

/** What finding the clusters needs. */
export interface MeshClustersOptions {
  readonly store: ResourceStore;
  /** Clusters that the server is told of. */
  readonly told: readonly ServedCluster[];
  readonly clock: Clock;
}

function holder(name: string, access: Access, clock: Clock): NamespaceHolder {
  return {
    name,
    namespace: async (namespace) => {
      if (access.kind === "none") throw new WeftError("Unavailable", access.message);
      if (access.kind === "unknown") throw new WeftError("Unavailable", `it is not known how ${name} is reached`);
      using connection = new Connection(access.address, { clock });
      return namespaceStateOf(new Client(connection), namespace);
    },
  };
}

async function accessTo({ spec }: Cluster, store: ResourceStore): Promise<Access> {
  const { server, kubeconfigSecret } = spec;
  if (server !== undefined) return { kind: "address", address: { url: server } };
  if (kubeconfigSecret === undefined) return { kind: "unknown" };
  const { namespace, name, key = kubeconfigKey } = kubeconfigSecret;
  const secret = await store.get({ partition, resource: resourceName(secretKind), namespace, name });
  return secret === undefined ? { kind: "unknown" } : accessOf(secret.object, key);
}

/**
 * All clusters that may have namespaces of the mesh, each to be asked as the mesh reaches it: those that the server is told of, those
 * that a `Cluster` names, and those of Istio's remote secrets.
 */
export async function meshClusters({ store, told, clock }: MeshClustersOptions): Promise<readonly NamespaceHolder[]> {
  const found = new Map<string, Access>();
  const add = (name: string, access: Access): void => void (found.has(name) || found.set(name, access));
  for (const { name, server } of told) add(name, { kind: "address", address: server });
  const clusters = await store.list({ partition, resource: resourceName(clusterKind) });
  for (const { object } of clusters.items) add(object.metadata.name, await accessTo(object as Cluster, store));
  const secrets = await store.list({ partition, resource: resourceName(secretKind), namespace: rootNamespace });
  for (const { object } of secrets.items) {
    if (object.metadata.labels?.[remoteSecretLabel] !== "true") continue;
    for (const name of Object.keys(object["data"] ?? {})) add(name, accessOf(object, name));
  }
  return [...found].map(([name, access]) => holder(name, access, clock));
}

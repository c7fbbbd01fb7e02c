import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import type { MeshSnapshot, PlacedObject } from "#analysis/snapshot.ts";
import type { MeshProxy } from "#analysis/diff.ts";
import { secret } from "#api/kubernetes/secret.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import { egressScope } from "#api/weft/egress-scope.ts";
import { mesh as meshKind } from "#api/weft/mesh.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { Client, type KindRef } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { clusterKinds } from "#sources/members/cluster.ts";
import { credentialKinds, istioKinds, secretSelection } from "#sources/mesh.ts";
import { listProxies, proxyName } from "../proxy/proxies.ts";

/** The objects of a mesh as its APIs tell of them now. */
interface LiveObjects extends Disposable {
  readonly snapshot: MeshSnapshot;
  /** Names of the member clusters. */
  readonly clusters: readonly string[];
  /** A member cluster's API. @throws WeftError `NotFound` with the names that there are. */
  clusterClient(name: string): Client;
}

/** A mesh as its APIs tell of it now. */
export interface LiveMesh extends LiveObjects {
  /** Connected proxies, by name. */
  readonly proxies: readonly MeshProxy[];
}

async function listed(client: Client, kinds: readonly KindRef[], cluster: string): Promise<readonly PlacedObject[]> {
  const lists = await Promise.all(
    kinds.map(async (kind) => client.of(kind).list(kind === secret ? secretSelection : {})),
  );
  return lists.flatMap(({ items }) => items.map((object) => ({ object, cluster })));
}

function memberClient(name: string, server: string | undefined): Client {
  if (server === undefined) {
    throw new WeftError("Unsupported", `cluster ${name} has no server in its specification, so it cannot be read`);
  }
  return new Client(new Connection({ url: server }, { clock: systemClock }));
}

async function proxiesOf(client: Client): Promise<readonly MeshProxy[]> {
  const found = await listProxies(client);
  return found.map((proxy) => ({ name: proxyName(proxy), cluster: proxy.spec.cluster, node: proxy.spec.node }));
}

async function listedIn(name: string, member: Client, kinds: readonly KindRef[]): Promise<readonly PlacedObject[]> {
  try {
    return await listed(member, kinds, name);
  } catch (error) {
    throw new WeftError("Unavailable", `cluster ${name} cannot be read: ${messageOf(error)}`, error);
  }
}

/** The kinds that are read of a mesh. */
interface ReadKinds {
  readonly own: readonly KindRef[];
  readonly cluster: readonly KindRef[];
}

/** What translation reads. */
const translated: ReadKinds = {
  own: [...istioKinds, egressScope, namespaceKind, ...credentialKinds],
  cluster: [...clusterKinds, secret],
};

/**
 * Reads a mesh's own objects and those of its clusters.
 * @throws WeftError that names the cluster that cannot be read.
 */
export async function readObjects(client: Client, kinds: ReadKinds): Promise<LiveObjects> {
  const own = await listed(client, [clusterKind, meshKind, ...kinds.own], "");
  const members = new Map<string, Client>();
  const dispose = (): void => {
    for (const member of members.values()) member.connection[Symbol.dispose]();
  };
  try {
    for (const { object } of own) {
      if (object.kind !== clusterKind.kind) continue;
      const { metadata, spec } = object as unknown as Cluster;
      members.set(metadata.name, memberClient(metadata.name, spec.server));
    }
    const theirs = await Promise.all([...members].map(async ([name, member]) => listedIn(name, member, kinds.cluster)));
    const clusters = [...members.keys()].toSorted();
    return {
      snapshot: [...own, ...theirs.flat()],
      clusters,
      clusterClient: (name) => {
        const member = members.get(name);
        if (member) return member;
        throw new WeftError("NotFound", `the mesh has no cluster ${name}; it has ${clusters.join(", ")}`);
      },
      [Symbol.dispose]: dispose,
    };
  } catch (error) {
    dispose();
    throw error;
  }
}

/**
 * Reads all that translation reads of a mesh, and the connected proxies.
 * @throws WeftError that names the cluster that cannot be read.
 */
export async function readMesh(client: Client): Promise<LiveMesh> {
  const proxies = await proxiesOf(client);
  return { ...(await readObjects(client, translated)), proxies };
}

/**
 * The proxies that words name: `pod.namespace`, a Pod, or the workload that a Pod's name begins with.
 * @throws WeftError `NotFound` when a word names none.
 */
export function proxiesNamed({ proxies }: LiveMesh, words: readonly string[]): readonly MeshProxy[] {
  return words.flatMap((word) => {
    const found = proxies.filter(
      ({ name }) => name === word || name.startsWith(`${word}-`) || name.startsWith(`${word}.`),
    );
    if (found.length > 0) return found;
    throw new WeftError("NotFound", `no connected proxy is named ${word}; see weft proxy-status`);
  });
}

/** An object of a file is of a member cluster, and nobody said of which. */
export function clusterMissing(kind: string, name: string, clusters: readonly string[]): WeftError {
  const choices = clusters.join(" or ");
  return new WeftError(
    "InvalidArgument",
    `${kind} ${name} belongs to one cluster: say which with --cluster ${choices}`,
  );
}

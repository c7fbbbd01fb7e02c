import { deployment } from "#api/kubernetes/deployment.ts";
import type { Deployment } from "#api/kubernetes/deployment.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import type { EndpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { lease } from "#api/kubernetes/lease.ts";
import type { Lease } from "#api/kubernetes/lease.ts";
import { node } from "#api/kubernetes/node.ts";
import type { Node } from "#api/kubernetes/node.ts";
import { pod } from "#api/kubernetes/pod.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { replicaSet } from "#api/kubernetes/replica-set.ts";
import type { ReplicaSet } from "#api/kubernetes/replica-set.ts";
import { service } from "#api/kubernetes/service.ts";
import type { Service } from "#api/kubernetes/service.ts";
import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { Client } from "#kube/client.ts";
import type { KindClient, Selection } from "#kube/client.ts";
import type { Connection } from "#kube/connection.ts";
import { Informer } from "#kube/informer.ts";
import { ownerUid } from "./ownership.ts";

/** The objects of one kind in an embedded cluster: how to write them, and a local copy to read. */
export interface Objects<T extends ResourceObject> {
  readonly client: KindClient<T>;
  readonly cache: Informer<T>;
}

/** Where agents renew the leases that tell that their nodes live. */
export const leaseNamespace = "kube-node-lease";

/** The name of the index of objects by their controller's uid. */
export const byOwner = "owner";
/** The name of the index of objects by namespace. */
export const byNamespace = "namespace";

/** An embedded cluster as its controllers see it: the API server and nothing else. */
export class Cluster {
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
  readonly pods: Objects<Pod>;
  readonly nodes: Objects<Node>;
  readonly services: Objects<Service>;
  readonly deployments: Objects<Deployment>;
  readonly replicaSets: Objects<ReplicaSet>;
  readonly endpointSlices: Objects<EndpointSlice>;
  readonly leases: Objects<Lease>;

  constructor(connection: Connection, clock: Clock, logger: Logger) {
    this.client = new Client(connection);
    this.clock = clock;
    this.logger = logger;
    this.pods = this.#objects<Pod>(pod);
    this.nodes = this.#objects<Node>(node);
    this.services = this.#objects<Service>(service);
    this.deployments = this.#objects<Deployment>(deployment);
    this.replicaSets = this.#objects<ReplicaSet>(replicaSet);
    this.endpointSlices = this.#objects<EndpointSlice>(endpointSlice);
    this.leases = this.#objects<Lease>(lease, { namespace: leaseNamespace });
  }

  /** Keeps the local copies up to date until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await Promise.all(this.#caches().map(async (cache) => cache.run(signal)));
  }

  /** Resolves when every local copy is complete. */
  async synced(): Promise<void> {
    await Promise.all(this.#caches().map(async (cache) => cache.synced));
  }

  #caches(): readonly Pick<Informer<ResourceObject>, "run" | "synced">[] {
    const { pods, nodes, services, deployments, replicaSets, endpointSlices, leases } = this;
    return [pods, nodes, services, deployments, replicaSets, endpointSlices, leases].map(({ cache }) => cache);
  }

  #objects<T extends ResourceObject>(kind: Kind, selection: Selection = {}): Objects<T> {
    const client = this.client.of<T>(kind);
    const indexes = {
      [byOwner]: ({ metadata }: T) => ownerUid(metadata) ?? [],
      [byNamespace]: ({ metadata }: T) => [metadata.namespace ?? ""],
    };
    const { clock, logger } = this;
    return { client, cache: new Informer({ client, selection, clock, logger, trim: withoutManagers, indexes }) };
  }
}

/** No controller reads who set which field, and it is the larger part of many objects. */
function withoutManagers<T extends ResourceObject>(object: T): T {
  if (object.metadata.managedFields === undefined) return object;
  const { managedFields: _managedFields, ...metadata } = object.metadata;
  return { ...object, metadata };
}

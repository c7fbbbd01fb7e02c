import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { node } from "#api/kubernetes/node.ts";
import { pod } from "#api/kubernetes/pod.ts";
import { service } from "#api/kubernetes/service.ts";
import type { Client } from "#kube/client.ts";
import type { Model } from "#model/model.ts";
import { type Source, type SourceContext, follow } from "./feed.ts";
import { modelFeed, secretFeed } from "./mesh.ts";

/** Kinds of a member cluster that translation reads. */
export const clusterKinds = [service, endpointSlice, pod, node, namespace];

/** A member cluster. */
export interface MemberCluster {
  readonly name: string;
  /** Clusters of one network reach each other's Pods directly. */
  readonly network: string;
}

/** Follows a member cluster's workloads and services. A cluster that is away keeps its last known state. */
export function followCluster(
  cluster: MemberCluster,
  client: Client,
  model: Model,
  context: SourceContext,
  signal: AbortSignal,
): Source {
  model.inputs.putCluster(cluster.name, cluster.network);
  const logger = context.logger.with({ cluster: cluster.name });
  const feeds = [...clusterKinds.map((kind) => modelFeed(kind, model, cluster.name)), secretFeed(model, cluster.name)];
  return follow(client, feeds, { ...context, logger }, signal);
}

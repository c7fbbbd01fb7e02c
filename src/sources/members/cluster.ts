import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { node } from "#api/kubernetes/node.ts";
import { pod } from "#api/kubernetes/pod.ts";
import { service } from "#api/kubernetes/service.ts";
import type { Client, KindRef } from "#kube/client.ts";
import type { Model } from "#model/model.ts";
import { type Feed, type Source, type SourceContext, follow } from "../feed.ts";
import type { Entry } from "../intake.ts";
import { modelFeed, secretFeed } from "../mesh.ts";
import type { NodeCensus } from "./census.ts";
import { trimmedNamespace, trimmedNode, trimmedPod, trimmedService, trimmedSlice } from "./trim.ts";

/** Kinds of a member cluster that translation reads. */
export const clusterKinds = [service, endpointSlice, pod, node, namespace];

/** What following a member cluster needs. */
export interface ClusterContext extends SourceContext {
  readonly model: Model;
  /** The cluster's name. */
  readonly name: string;
  readonly census: NodeCensus;
  /** Makes room for it in the model: whatever was known of it before. */
  readonly begin: Entry;
  /** Called each time that a kind cannot be followed, and with undefined when it is again. */
  readonly state: (kind: KindRef, failure: unknown) => void;
}

function feedsOf({ model, name, census }: ClusterContext): readonly Feed[] {
  const nodes = modelFeed(node, model, name);
  const counted: Feed = {
    ...nodes,
    trim: trimmedNode,
    put: (object) => {
      nodes.put(object);
      census.put(object);
    },
    remove: (object) => {
      nodes.remove(object);
      census.remove(object);
    },
  };
  return [
    { ...modelFeed(service, model, name), trim: trimmedService },
    { ...modelFeed(endpointSlice, model, name), trim: trimmedSlice },
    { ...modelFeed(pod, model, name), trim: trimmedPod },
    counted,
    { ...modelFeed(namespace, model, name), trim: trimmedNamespace },
    secretFeed(model, name),
  ];
}

/**
 * Follows a member cluster's workloads and services, which enter the model as one when all of them have been read: nobody is led to
 * half of a cluster. A cluster that is away keeps its last known state.
 */
export function followCluster(client: Client, context: ClusterContext, signal: AbortSignal): Source {
  const logger = context.logger.with({ cluster: context.name });
  return follow(client, feedsOf(context), { ...context, logger }, signal, {
    together: context.begin,
    state: context.state,
  });
}

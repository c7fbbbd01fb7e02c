import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Connection } from "#kube/connection.ts";
import { Cluster } from "./cluster.ts";
import { runController } from "./controller.ts";
import type { Controller } from "./controller.ts";
import { DeploymentController } from "./deployment.ts";
import { EndpointsController } from "./endpoints.ts";
import { NodeHealthController } from "./node-health.ts";
import { NodeRangeController } from "./node-range.ts";
import { ReplicaSetController } from "./replica-set.ts";
import { Scheduler } from "./scheduler.ts";

/** An embedded cluster to be run. */
export interface PlaygroundOptions {
  /** The cluster's name, for logs. */
  readonly cluster: string;
  /** To the cluster's API server; the controllers use nothing else and keep nothing. */
  readonly connection: Connection;
  readonly clock: Clock;
  readonly logger: Logger;
  /** The range of the cluster's Pods, such as `10.10.0.0/16`; each node gets a /24 of it. */
  readonly podRange: string;
}

/**
 * Runs the controllers of an embedded cluster, as a Kubernetes controller manager and scheduler would, until the signal aborts:
 * Deployments, ReplicaSets, placement on nodes, endpoint slices, nodes' Pod ranges and heartbeats. They may be stopped and
 * started again at any point. Garbage collection, namespaces, service accounts and ClusterIPs are the API server's.
 * @throws WeftError `InvalidArgument` when the Pod range is none.
 */
export async function runPlayground(options: PlaygroundOptions, signal: AbortSignal): Promise<void> {
  const { clock, connection, podRange } = options;
  const logger = options.logger.with({ cluster: options.cluster });
  const cluster = new Cluster(connection, clock, logger);
  const controllers: readonly Controller[] = [
    new NodeRangeController(cluster, podRange),
    new NodeHealthController(cluster),
    new DeploymentController(cluster),
    new ReplicaSetController(cluster),
    new Scheduler(cluster),
    new EndpointsController(cluster),
  ];
  const caches = cluster.run(signal);
  // On half a picture a controller would create what is only not seen yet.
  await Promise.race([cluster.synced(), caches]);
  if (!signal.aborted) logger.info("the embedded cluster's controllers run");
  await Promise.all([caches, ...controllers.map(async (one) => runController(one, clock, logger, signal))]);
}

import { type Deployment, deployment as deploymentKind } from "#api/kubernetes/deployment.ts";
import { type Pod, pod as podKind } from "#api/kubernetes/pod.ts";
import { type Service, service as serviceKind } from "#api/kubernetes/service.ts";
import type { ResourceObject } from "#api/meta.ts";
import { revisionLabel } from "#api/weft/revisions.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { balanced } from "./members.ts";
import type { InstallObject } from "./object.ts";
import { installNames } from "./options.ts";
import { apiService } from "./resources.ts";

/** How long is waited, and who is told of what. */
export interface Patience {
  readonly clock: Clock;
  readonly limitMs: number;
  readonly told: (text: string) => void;
  readonly signal: AbortSignal;
}

const lookMs = 500;

/** What keeps something from being ready; undefined when it is. */
type Obstacle = string | undefined;

/** Why a Pod does not serve, in the words of its scheduler, its kubelet or its last end. */
function podTrouble({ metadata: { name }, status }: Pod): string {
  const unscheduled = status?.conditions?.find((one) => one.type === "PodScheduled" && one.status === "False");
  if (unscheduled) return `Pod ${name} has no node: ${unscheduled.message ?? ""}`;
  const containers = [...(status?.initContainerStatuses ?? []), ...(status?.containerStatuses ?? [])];
  for (const { name: container, state, lastState } of containers) {
    const { waiting } = state ?? {};
    const ended = lastState?.terminated;
    if (waiting && waiting.reason !== "PodInitializing" && waiting.reason !== "ContainerCreating") {
      const end = ended ? ` (ended with ${ended.exitCode})` : "";
      return `container ${container} of Pod ${name}: ${waiting.reason ?? "waiting"}${end} ${waiting.message ?? ""}`.trim();
    }
    if (ended) return `container ${container} of Pod ${name} ended with ${ended.exitCode} and was started again`;
  }
  return `Pod ${name} is starting`;
}

/** What keeps a Deployment of the control plane's from being as it is to be, with the reason of its Pods; undefined when it is. */
export async function deploymentObstacle(client: Client, name: string): Promise<Obstacle> {
  const { namespace } = installNames;
  const { metadata, spec, status } = await client.of<Deployment>(deploymentKind).get({ namespace, name });
  const wanted = spec.replicas ?? 1;
  const { observedGeneration = 0, updatedReplicas = 0, availableReplicas = 0, replicas = 0 } = status ?? {};
  const current = observedGeneration >= (metadata.generation ?? 0);
  if (current && updatedReplicas === wanted && availableReplicas >= wanted && replicas === wanted) return undefined;
  const labels = Object.entries(spec.selector.matchLabels ?? {});
  const labelSelector = labels.map((pair) => pair.join("=")).join(",");
  const { items } = await client.of<Pod>(podKind).list({ namespace, labelSelector });
  const notReady = items.find(
    ({ status: { conditions = [] } = {} }) => !conditions.some((one) => one.type === "Ready" && one.status === "True"),
  );
  const trouble = notReady ? `: ${podTrouble(notReady)}` : "";
  return `Deployment ${name} has ${current ? updatedReplicas : 0} of ${wanted} new Pods, ${availableReplicas} of them ready${trouble}`;
}

async function balancerObstacle(client: Client, name: string): Promise<Obstacle> {
  const found = await client.of<Service>(serviceKind).get({ namespace: installNames.namespace, name });
  if (found.spec.type !== "LoadBalancer" || balanced(found).length > 0) return undefined;
  return `Service ${name} has no address of a load balancer yet`;
}

const looks: Readonly<Record<string, (client: Client, name: string) => Promise<Obstacle>>> = {
  Deployment: deploymentObstacle,
  APIService: routeObstacle,
  Service: balancerObstacle,
};

interface Condition {
  readonly type: string;
  readonly status: string;
  readonly message?: string;
}

async function routeObstacle(client: Client, name: string): Promise<Obstacle> {
  const { status } = await client
    .of<ResourceObject & { status?: { conditions?: Condition[] } }>(apiService)
    .get({ name });
  const available = status?.conditions?.find(({ type }) => type === "Available");
  if (available?.status === "True") return undefined;
  return `APIService ${name} is not available yet: ${available?.message ?? "nobody has looked"}`;
}

function fixOf({ kind, metadata: { name, labels = {} } }: InstallObject): string {
  const { namespace } = installNames;
  const revision = labels[revisionLabel];
  const pods = revision === undefined ? `app=${name}` : `app=${installNames.discovery},${revisionLabel}=${revision}`;
  if (kind === "Service")
    return `kubectl -n ${namespace} describe service ${name} tells more; where the cluster makes no load balancers, install with --members NodePort`;
  return kind === "Deployment"
    ? `kubectl -n ${namespace} describe pods -l ${pods} and kubectl -n ${namespace} logs -l ${pods} --all-containers tell more`
    : `kubectl describe apiservice ${name} tells more; the cluster's API server must reach the Pods of ${installNames.server}`;
}

/**
 * Waits until what was made serves: Deployments have all Pods they want, the API server reaches what it passes requests on to.
 * @throws WeftError `DeadlineExceeded` with what is not ready, why, and what to do.
 */
export async function becomeReady(
  client: Client,
  objects: readonly InstallObject[],
  patience: Patience,
): Promise<void> {
  const { clock, limitMs, told, signal } = patience;
  const until = clock.monotonic() + limitMs;
  let last = "";
  for (const object of objects) {
    const { name } = object.metadata;
    const look = looks[object.kind];
    if (!look) continue;
    for (;;) {
      const obstacle = await look(client, name).catch((error: unknown) => {
        if (codeOf(error) === "Unavailable") return messageOf(error);
        throw error;
      });
      if (obstacle === undefined) break;
      if (obstacle !== last) told(obstacle);
      last = obstacle;
      if (clock.monotonic() > until) {
        const again = "the same command again goes on, and weft uninstall takes everything back";
        throw new WeftError(
          "DeadlineExceeded",
          `not ready after ${limitMs / 1000} s: ${obstacle}. ${fixOf(object)}; ${again}`,
        );
      }
      await clock.sleep(lookMs, signal);
    }
  }
}

import { formatAge } from "#base/duration.ts";
import type { Column } from "../kind.ts";
import type { ResourceObject } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import type { Pod } from "./pod.ts";
import type { ContainerStatus } from "./pod-status.ts";

/** What the columns of a Pod tell of its containers. */
interface Summary {
  readonly ready: number;
  readonly total: number;
  readonly status: string;
  readonly restarts: number;
  /** When the newest restart ended the container before, RFC 3339. */
  readonly restarted?: string;
}

function ended(state: ContainerStatus["state"]): string | undefined {
  const terminated = state?.terminated;
  if (terminated === undefined) return undefined;
  if (terminated.reason) return terminated.reason;
  return terminated.signal ? `Signal:${terminated.signal}` : `ExitCode:${terminated.exitCode}`;
}

function conditionTrue(pod: Pod, type: string): boolean {
  return pod.status?.conditions?.some((one) => one.type === type && one.status === "True") ?? false;
}

/** The first init container that holds the Pod up, as the status column tells it. */
function initialising(pod: Pod, sidecars: ReadonlySet<string>): string | undefined {
  const statuses = pod.status?.initContainerStatuses ?? [];
  for (const [at, { name, state, started }] of statuses.entries()) {
    if (state?.terminated?.exitCode === 0) continue;
    if (sidecars.has(name) && started) continue;
    const end = ended(state);
    if (end !== undefined) return `Init:${end}`;
    const waiting = state?.waiting?.reason;
    if (waiting && waiting !== "PodInitializing") return `Init:${waiting}`;
    return `Init:${at}/${pod.spec.initContainers?.length ?? 0}`;
  }
  return undefined;
}

/** The status that the containers give the Pod: of the first that is not well. */
function running(pod: Pod, phase: string): string {
  const statuses = pod.status?.containerStatuses ?? [];
  const wrong = statuses
    .map(({ state }) => state?.waiting?.reason || ended(state))
    .find((reason) => reason !== undefined && reason !== "");
  const status = wrong ?? phase;
  const someRun = statuses.some(({ ready, state }) => ready && state?.running !== undefined);
  if (status !== "Completed" || !someRun) return status;
  return conditionTrue(pod, "Ready") ? "Running" : "NotReady";
}

function statusText(pod: Pod, sidecars: ReadonlySet<string>): string {
  const status = pod.status;
  if (pod.metadata.deletionTimestamp !== undefined) {
    if (status?.reason === "NodeLost") return "Unknown";
    if (status?.phase !== "Succeeded" && status?.phase !== "Failed") return "Terminating";
  }
  const gated = status?.conditions?.some(({ type, reason }) => type === "PodScheduled" && reason === "SchedulingGated");
  const phase = gated ? "SchedulingGated" : status?.reason || status?.phase || "Unknown";
  const init = initialising(pod, sidecars);
  return init !== undefined && !conditionTrue(pod, "Initialized") ? init : running(pod, phase);
}

function newestEnd(statuses: readonly ContainerStatus[]): string | undefined {
  return statuses
    .map(({ lastState }) => lastState?.terminated?.finishedAt)
    .filter((at) => at !== undefined)
    .toSorted()
    .at(-1);
}

function summary(pod: Pod): Summary {
  const sidecars = new Set(
    (pod.spec.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always").map(({ name }) => name),
  );
  const inits = pod.status?.initContainerStatuses ?? [];
  const mains = pod.status?.containerStatuses ?? [];
  const beside = inits.filter(({ name }) => sidecars.has(name));
  const blocked = initialising(pod, sidecars) !== undefined && !conditionTrue(pod, "Initialized");
  const counted = blocked ? inits : [...beside, ...mains];
  const restarted = newestEnd(counted);
  return {
    ready:
      beside.filter(({ ready, started }) => ready && started).length +
      (blocked ? 0 : mains.filter(({ ready, state }) => ready && state?.running !== undefined).length),
    total: pod.spec.containers.length + sidecars.size,
    status: statusText(pod, sidecars),
    restarts: counted.reduce((sum, { restartCount }) => sum + restartCount, 0),
    ...(restarted === undefined ? {} : { restarted }),
  };
}

function restarts(pod: Pod, now: number | undefined): string {
  const { restarts, restarted } = summary(pod);
  if (restarts === 0 || restarted === undefined || now === undefined) return String(restarts);
  return `${restarts} (${formatAge(now - Date.parse(restarted))} ago)`;
}

function gates(pod: Pod): string | undefined {
  const all = pod.spec.readinessGates ?? [];
  if (all.length === 0) return undefined;
  return `${all.filter(({ conditionType }) => conditionTrue(pod, conditionType)).length}/${all.length}`;
}

/** A column of Pods. */
function podColumn(
  name: string,
  description: string,
  cell: (pod: Pod, now: number | undefined) => string | undefined,
  wide = false,
): Column {
  return { name, type: "string", wide, description, cell: (object: ResourceObject, now) => cell(object as Pod, now) };
}

/** The columns that Kubernetes prints of Pods. */
export const podColumns: readonly Column[] = [
  podColumn("Ready", "Containers that are ready, of all.", (pod) => {
    const { ready, total } = summary(pod);
    return `${ready}/${total}`;
  }),
  podColumn("Status", "How the Pod is, in one word.", (pod) => summary(pod).status),
  podColumn("Restarts", "How often containers were started again, and when last.", restarts),
  ageColumn,
  podColumn("IP", "The Pod's address.", (pod) => pod.status?.podIPs?.[0]?.ip ?? pod.status?.podIP, true),
  podColumn("Node", "The node that runs the Pod.", (pod) => pod.spec.nodeName, true),
  podColumn(
    "Nominated Node",
    "The node that is being cleared for the Pod.",
    (pod) => pod.status?.nominatedNodeName,
    true,
  ),
  podColumn("Readiness Gates", "Conditions for readiness that are true, of all.", gates, true),
];

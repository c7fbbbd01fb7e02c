import type { Container } from "#api/kubernetes/container.ts";
import {
  certificateCondition,
  type ContainerStatus,
  hijackCondition,
  type PodStatus,
  proxyCondition,
} from "#api/kubernetes/pod-status.ts";
import { type ProxyUpgrade, upgradeCondition, upgradeMessage } from "#api/kubernetes/proxy-upgrade.ts";
import { trustCondition, trustMessage } from "#api/kubernetes/proxy-trust.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import { timestamp } from "#base/timestamp.ts";
import type { ProcessState } from "#runtime/process.ts";
import type { CertificateState } from "./certificates/holder.ts";
import type { Proof } from "./certificates/proof.ts";
import { type ContainerRecord, type Ending, restartsOf } from "./records.ts";
import { trafficAspect } from "./traffic/aspect.ts";
import type { TrafficRecord } from "./traffic/record.ts";

/** How one container stands, for the status. */
export interface ContainerView {
  readonly container: Container;
  readonly record: ContainerRecord;
  readonly state: ProcessState;
  /** It has ended and is not started again. */
  readonly done: boolean;
}

/** Everything that a Pod's status is made from. */
export interface PodView {
  readonly pod: Pod;
  readonly address: string;
  readonly hostIp: string;
  readonly startTime: number;
  readonly init: readonly ContainerView[];
  readonly containers: readonly ContainerView[];
  /** Whether the Pod's proxy has its configuration; undefined for a Pod without one. */
  readonly proxyReady: boolean | undefined;
  /** How the proxy's certificate stands; absent for a proxy that gets none. */
  readonly certificate?: CertificateState;
  /** What the proxy was seen to hold of what it is served; absent while that is not known. */
  readonly proof?: Proof;
  /** How connections are led to the proxy; absent where none are. */
  readonly traffic?: TrafficRecord;
  /** How the proxy's replacement by another process stands; absent where none was ever asked for. */
  readonly upgrade?: ProxyUpgrade;
  /** Whether the proxy runs with other settings than it would be started with now. */
  readonly restartDue?: boolean;
  /** What keeps the Pod from being used beside its containers, for people. */
  readonly problem?: string;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** A condition of a Pod. */
export type Condition = NonNullable<PodStatus["conditions"]>[number];
type State = NonNullable<ContainerStatus["state"]>;

/** The condition that tells whether the Pod's proxy would be started as it was. */
const currentCondition = "mesh.weft.dev/ProxyCurrent";
const outdated = {
  reason: "RestartDue",
  message: "settings that hold from the proxy's start have changed: they hold once the Pod is replaced",
};

/** The label by which peers know that a Pod takes mutual TLS, and what it says then: Istio's. */
export const tlsModeLabel = "security.istio.io/tlsMode";

/** Whether a Pod says which TLS its peers are to speak. */
export function speaksMutualTls({ metadata: { labels = {} } }: Pod): boolean {
  return labels[tlsModeLabel] !== undefined;
}

/** Labels that a Pod lacks: its proxy has its certificate and is ready, so that peers may speak mutual TLS to it. */
export function missingLabels({ pod, certificate, proxyReady }: ProxyView): StringMap | undefined {
  const due = certificate !== undefined && proxyReady === true && !speaksMutualTls(pod);
  return due ? { [tlsModeLabel]: "istio" } : undefined;
}

function certificateAspect({ phase, notAfter, serialNumber, problem }: CertificateState): Aspect {
  const held = notAfter === undefined ? "none yet" : `serial number ${serialNumber}, until ${timestamp(notAfter)}`;
  const message = problem === undefined ? held : `${held}; the last request failed: ${problem}`;
  return { type: certificateCondition, ok: phase === "Valid" || phase === "Expiring", reason: phase, message };
}

function upgradeAspect(upgrade: ProxyUpgrade): Aspect {
  const { phase } = upgrade;
  return { type: upgradeCondition, ok: phase === "Upgraded", reason: phase, message: upgradeMessage(upgrade) };
}

function proofAspect(proof: NonNullable<Proof>): Aspect {
  const type = trustCondition;
  if (proof.kind === "held") return { type, ok: true, reason: "Acknowledged", message: trustMessage(proof.trust) };
  const message = "the proxy has not acknowledged its certificate and the roots of its peers yet";
  return { type, ok: false, reason: "Pending", message };
}

const signals = 128;

function terminated(ended: Ending): State {
  const code = ended.code ?? 137;
  const reason = ended.code === undefined ? "ContainerStatusUnknown" : code === 0 ? "Completed" : "Error";
  return {
    terminated: {
      exitCode: code,
      ...(code > signals ? { signal: code - signals } : {}),
      reason,
      ...(ended.startedAt === undefined ? {} : { startedAt: timestamp(ended.startedAt) }),
      finishedAt: timestamp(ended.finishedAt),
    },
  };
}

function stateOf({ record, state, done }: ContainerView, waitingFor: string): State {
  if (state.kind === "running") return { running: { startedAt: timestamp(state.startedAt) } };
  if (record.ended !== undefined && (done || record.waiting === undefined)) return terminated(record.ended);
  return { waiting: record.waiting ?? { reason: waitingFor } };
}

function containerStatus(view: ContainerView, waitingFor: string, uid: string): ContainerStatus {
  const { container, record, state, done } = view;
  const { name, image = "" } = container;
  // While it waits for its next start, its last end is the one before.
  const last = record.waiting !== undefined && !done ? (record.ended ?? record.last) : record.last;
  const running = state.kind === "running";
  return {
    name,
    image,
    imageID: image,
    ready: running && record.ready,
    started: running && record.started,
    restartCount: restartsOf(record),
    state: stateOf(view, waitingFor),
    lastState: last === undefined ? {} : terminated(last),
    ...(record.attempt < 0 ? {} : { containerID: `weft://${uid}/${name}/${record.attempt}` }),
  };
}

/** Kubernetes' quality of service, by what the containers ask for. */
export function qosClass(pod: Pod): string {
  const containers = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const amounts = containers.map(({ resources }) => ({
    limits: resources.limits ?? {},
    requests: { ...resources.limits, ...resources.requests },
  }));
  if (amounts.every(({ limits, requests }) => Object.keys(limits).length + Object.keys(requests).length === 0))
    return "BestEffort";
  const guaranteed = amounts.every(({ limits, requests }) =>
    ["cpu", "memory"].every((name) => limits[name] !== undefined && limits[name] === requests[name]),
  );
  return guaranteed ? "Guaranteed" : "Burstable";
}

function succeeded({ done, record }: ContainerView): boolean {
  return done && record.ended?.code === 0;
}

function phaseOf({ init, containers, pod }: PodView): string {
  if (init.some(({ done, record }) => done && record.ended?.code !== 0)) return "Failed";
  if (!init.every((view) => succeeded(view) || isSidecar(view.container))) return "Pending";
  if (containers.every(({ record }) => record.attempt < 0)) return "Pending";
  if (containers.every(({ done }) => done) && pod.spec.restartPolicy !== "Always")
    return containers.every(succeeded) ? "Succeeded" : "Failed";
  return "Running";
}

/** Kubernetes' own sidecars: init containers that run beside the others. */
export function isSidecar(container: Container): boolean {
  return container.restartPolicy === "Always";
}

/** Something that a condition tells. */
export interface Aspect {
  readonly type: string;
  readonly ok: boolean;
  readonly reason?: string;
  readonly message?: string;
}

function names(views: readonly ContainerView[]): string {
  return `[${views.map(({ container }) => container.name).join(" ")}]`;
}

/** Why a Pod is not ready: its containers, what stands in their way, or its proxy. */
function whyNot(
  unready: readonly ContainerView[],
  { problem, certificate }: PodView,
): Pick<Aspect, "reason" | "message"> {
  if (unready.length > 0)
    return { reason: "ContainersNotReady", message: `containers with unready status: ${names(unready)}` };
  if (problem !== undefined) return { reason: "HostPortNotAvailable", message: problem };
  if (certificate?.phase !== "Waiting")
    return { reason: "ProxyNotReady", message: "the Pod's proxy has no configuration yet" };
  const why = certificate.problem === undefined ? "" : `: ${certificate.problem}`;
  return { reason: "ProxyNotReady", message: `the Pod's proxy has no certificate yet${why}` };
}

/** How a Pod's proxy stands, whoever runs the Pod. */
export type ProxyView = Pick<
  PodView,
  "pod" | "proxyReady" | "certificate" | "proof" | "traffic" | "upgrade" | "restartDue" | "now"
>;

function proxyAspects({ proxyReady, certificate, proof, traffic, upgrade, restartDue }: ProxyView): readonly Aspect[] {
  const led = trafficAspect(traffic);
  return [
    ...(proxyReady === undefined ? [] : [{ type: proxyCondition, ok: proxyReady }]),
    ...(certificate === undefined ? [] : [certificateAspect(certificate)]),
    ...(proof === undefined ? [] : [proofAspect(proof)]),
    ...(led ? [led] : []),
    ...(upgrade ? [upgradeAspect(upgrade)] : []),
    ...(proxyReady === undefined || restartDue === undefined
      ? []
      : [{ type: currentCondition, ok: !restartDue, ...(restartDue && outdated) }]),
  ];
}

/** All types of conditions about a Pod's proxy. */
export const proxyConditions: readonly string[] = [
  proxyCondition,
  certificateCondition,
  trustCondition,
  hijackCondition,
  currentCondition,
  upgradeCondition,
];

/** The conditions about a Pod's proxy, and more of that kind, with the time at which each last changed. */
export function proxyStatus(view: ProxyView, more: readonly Aspect[]): readonly Condition[] {
  return timed(view, [...proxyAspects(view), ...more]);
}

function aspects(view: PodView, phase: string): readonly Aspect[] {
  const { init, containers, proxyReady, pod, problem } = view;
  const ended = phase === "Succeeded" || phase === "Failed";
  const finished = phase === "Succeeded" ? { reason: "PodCompleted" } : {};
  const waiting = init.filter((one) => (isSidecar(one.container) ? !one.record.started : !succeeded(one)));
  const unready = containers.filter(({ record, state }) => state.kind !== "running" || !record.ready);
  const why = whyNot(unready, view);
  const ready = !ended && unready.length === 0 && proxyReady !== false && problem === undefined;
  const gates = (pod.spec.readinessGates ?? []).filter(
    ({ conditionType }) => pod.status?.conditions?.find(({ type }) => type === conditionType)?.status !== "True",
  );
  const gate = { reason: "ReadinessGatesNotReady", message: "a condition among the readiness gates is not true" };
  return [
    { type: "PodScheduled", ok: true },
    waiting.length === 0
      ? { type: "Initialized", ok: true, ...finished }
      : {
          type: "Initialized",
          ok: false,
          reason: "ContainersNotInitialized",
          message: `containers with incomplete status: ${names(waiting)}`,
        },
    { type: "ContainersReady", ok: ready, ...(ready ? {} : { ...why, ...finished }) },
    {
      type: "Ready",
      ok: ready && gates.length === 0,
      ...(ready ? (gates.length > 0 ? gate : {}) : { ...why, ...finished }),
    },
    ...proxyAspects(view),
  ];
}

function timed({ pod, now }: Pick<PodView, "pod" | "now">, all: readonly Aspect[]): readonly Condition[] {
  const before = pod.status?.conditions ?? [];
  return all.map(({ type, ok, reason, message }): Condition => {
    const status = ok ? "True" : "False";
    const known = before.find((one) => one.type === type);
    const since = known?.status === status ? known.lastTransitionTime : undefined;
    return {
      type,
      status,
      lastTransitionTime: since ?? timestamp(now),
      ...(reason === undefined ? {} : { reason }),
      ...(message === undefined ? {} : { message }),
    };
  });
}

/** Conditions with the time at which each last changed; those of others are kept. */
function conditionsOf(view: PodView, phase: string): readonly Condition[] {
  const own = timed(view, aspects(view, phase));
  const others = (view.pod.status?.conditions ?? []).filter(({ type }) => !own.some((one) => one.type === type));
  return [...others, ...own];
}

/** A Pod's status, as a kubelet writes it. */
export function podStatus(view: PodView): PodStatus {
  const { pod, address, hostIp, init, containers, startTime } = view;
  const phase = phaseOf(view);
  const { uid } = pod.metadata;
  return {
    phase,
    conditions: [...conditionsOf(view, phase)],
    hostIP: hostIp,
    hostIPs: [{ ip: hostIp }],
    podIP: address,
    podIPs: [{ ip: address }],
    startTime: timestamp(startTime),
    qosClass: qosClass(pod),
    ...(init.length === 0
      ? {}
      : { initContainerStatuses: init.map((one) => containerStatus(one, "PodInitializing", uid)) }),
    containerStatuses: containers.map((one) =>
      containerStatus(one, init.length > 0 ? "PodInitializing" : "ContainerCreating", uid),
    ),
  };
}

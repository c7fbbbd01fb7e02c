import { capturedCondition, connectionsOutside, proxyCondition } from "#api/kubernetes/pod-status.ts";
import { pod as podKind } from "#api/kubernetes/pod.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client, KindClient } from "#kube/client.ts";
import {
  type Aspect,
  type Condition,
  missingLabels,
  proxyConditions,
  proxyStatus,
  tlsModeLabel,
} from "../pod-status.ts";
import type { ManagedPod } from "./managed-pod.ts";

const all: readonly string[] = [...proxyConditions, capturedCondition];

function capturedAspect({ record }: ManagedPod): Aspect {
  const { joined, outside, leaving, traffic } = record;
  const type = capturedCondition;
  if (leaving) return { type, ok: false, reason: "Leaving", message: "the Pod leaves the mesh" };
  if (joined !== true) {
    const closed = traffic?.mode === undefined ? "" : ": nothing gets in or out meanwhile";
    return { type, ok: false, reason: "ProxyNotReady", message: `the Pod's proxy is not ready yet${closed}` };
  }
  if (traffic?.mode === undefined || traffic.mode === "none")
    return { type, ok: false, reason: "NotAsked", message: "the Pod asks for none" };
  if (outside === undefined) return { type, ok: true, reason: "Captured" };
  const message = `${outside.length} connections are older than the sidecar and go on without it: ${outside.join(", ")}`;
  return { type, ok: false, reason: connectionsOutside, message: message.slice(0, 1000) };
}

/** The label without what we say by it; what others say stays. */
function withoutOurs(label: string | undefined): string | undefined {
  return label === "istio" ? undefined : label;
}

/** Says on Pods how their sidecars stand: as conditions, and by the label that has peers speak mutual TLS. The rest of a status is the kubelet's. */
export class ManagedStatus {
  readonly #pods: KindClient<Pod>;
  readonly #find: (uid: string) => ManagedPod | undefined;
  readonly #queue: WorkQueue;
  /** What was written last, by UID: the local copy may not show it yet. */
  readonly #written = new Map<
    string,
    { readonly label: string | undefined; readonly conditions: readonly Condition[] }
  >();
  readonly #gone = new Map<string, Pod>();

  constructor(client: Client, find: (uid: string) => ManagedPod | undefined, clock: Clock, logger: Logger) {
    this.#pods = client.of<Pod>(podKind);
    this.#find = find;
    this.#queue = new WorkQueue({
      clock,
      work: async (uid, signal) => this.#write(uid, signal),
      failed: (uid, error) => {
        const level = ["Unavailable", "Conflict"].includes(codeOf(error)) ? "debug" : "warn";
        logger[level]("how a sidecar stands was not written", { uid, error: messageOf(error) });
      },
      backoff: { initialMs: 50, maxMs: 2000 },
    });
  }

  /** Whether a Pod's proxy was said to be ready, and so callers were told what to speak to it. */
  saysReady(uid: string): boolean {
    const said = this.#written.get(uid)?.conditions ?? [];
    return said.some(({ type, status }) => type === proxyCondition && status === "True");
  }

  changed(uid: string): void {
    this.#queue.add(uid);
  }

  /** A sidecar is gone: nothing is to be said of it any more. */
  gone(pod: Pod): void {
    this.#gone.set(pod.metadata.uid, pod);
    this.#queue.add(pod.metadata.uid);
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  async #write(uid: string, signal: AbortSignal): Promise<void> {
    const managed = this.#find(uid);
    const pod = managed?.record.pod ?? this.#gone.get(uid);
    if (!pod) return;
    try {
      await (managed ? this.#tell(managed, signal) : this.#takeBack(pod, signal));
    } catch (error) {
      this.#written.delete(uid);
      if (codeOf(error) !== "NotFound") throw error;
    }
    if (!managed) {
      this.#gone.delete(uid);
      this.#written.delete(uid);
    }
  }

  async #tell(managed: ManagedPod, signal: AbortSignal): Promise<void> {
    const { record } = managed;
    const { pod, leaving, joined } = record;
    const { uid } = pod.metadata;
    const known = this.#written.get(uid);
    const label = known ? known.label : pod.metadata.labels?.[tlsModeLabel];
    const before = known?.conditions ?? pod.status?.conditions ?? [];
    const view = { ...managed.view(), pod: { ...pod, status: { ...pod.status, conditions: [...before] } } };
    // While its proxy is not open for plain text yet, callers must not send it.
    const wanted =
      leaving?.told !== undefined
        ? withoutOurs(label)
        : (joined === true && missingLabels(view)?.[tlsModeLabel]) || label;
    if (label !== wanted) await this.#label(pod, wanted, signal);
    const conditions = proxyStatus(view, [capturedAspect(managed)]);
    const differ = conditions.filter((each) => !before.some((old) => equal(old, each)));
    if (differ.length > 0) await this.#patch(pod, differ, signal);
    this.#written.set(uid, { label: wanted, conditions });
  }

  async #takeBack(pod: Pod, signal: AbortSignal): Promise<void> {
    if (pod.metadata.deletionTimestamp !== undefined) return;
    await this.#label(pod, withoutOurs(pod.metadata.labels?.[tlsModeLabel]), signal);
    await this.#patch(
      pod,
      all.map((type) => ({ type, $patch: "delete" })),
      signal,
    );
  }

  async #label(pod: Pod, value: string | undefined, signal: AbortSignal): Promise<void> {
    const { uid, name, namespace = "" } = pod.metadata;
    const body = { metadata: { uid, labels: { [tlsModeLabel]: value ?? null } } };
    await this.#pods.patch({ name, namespace }, { kind: "merge", body }, { signal });
  }

  /** Conditions are merged by their types, so that the kubelet's stay. */
  async #patch(pod: Pod, conditions: readonly object[], signal: AbortSignal): Promise<void> {
    const { uid, name, namespace = "" } = pod.metadata;
    const body = { metadata: { uid }, status: { conditions } };
    await this.#pods.patch({ name, namespace }, { kind: "strategic", body }, { subresource: "status", signal });
  }
}

import { pod as podKind } from "#api/kubernetes/pod.ts";
import type { PodStatus } from "#api/kubernetes/pod-status.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Client, KindClient } from "#kube/client.ts";
import { WorkQueue } from "#base/workqueue.ts";

/** What a Pod's status is to be, and the Pod as the API has it. */
export interface PodReport {
  readonly pod: Pod;
  readonly status: PodStatus;
  /** Labels that the Pod is to have before it has the status. */
  readonly labels?: StringMap;
}

/** Tells of Pods. */
export interface StatusSource {
  /** Undefined when the Pod is not the node's any more. */
  status(uid: string): PodReport | undefined;
}

/** Writes Pods' statuses to the API, and removes Pods that have ended: only what has changed, apart from running them. */
export class StatusWriter {
  readonly #pods: KindClient<Pod>;
  readonly #source: StatusSource;
  readonly #queue: WorkQueue;
  /** Pods as last written, by UID: the local copy may not show them yet. */
  readonly #written = new Map<string, Pod>();
  /** Pods of which nothing is left here, by UID: they are to be removed from the API. */
  readonly #gone = new Map<string, Pod>();

  constructor(client: Client, source: StatusSource, clock: Clock, logger: Logger) {
    this.#pods = client.of<Pod>(podKind);
    this.#source = source;
    this.#queue = new WorkQueue({
      clock,
      work: async (uid, signal) => this.#write(uid, signal),
      failed: (uid, error) => {
        // That the API is away is told once, by those who watch it; a race lost is no news.
        const level = ["Unavailable", "Conflict"].includes(codeOf(error)) ? "debug" : "warn";
        logger[level]("a Pod's status was not written", { uid, error: messageOf(error) });
      },
      backoff: { initialMs: 50, maxMs: 2000 },
    });
  }

  /** A Pod's status may have changed. */
  changed(uid: string): void {
    this.#queue.add(uid);
  }

  /** Nothing of a Pod is left on the node. */
  remove(pod: Pod): void {
    this.#gone.set(pod.metadata.uid, pod);
    this.#queue.add(pod.metadata.uid);
  }

  /** Writes until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#queue.run(signal);
  }

  async #write(uid: string, signal: AbortSignal): Promise<void> {
    const gone = this.#gone.get(uid);
    if (gone !== undefined) {
      await this.#delete(gone, signal);
      return;
    }
    const wanted = this.#source.status(uid);
    if (wanted === undefined) return;
    const { pod, status, labels } = wanted;
    const known = newest(this.#written.get(uid), pod);
    const at = { name: pod.metadata.name, namespace: pod.metadata.namespace ?? "" };
    try {
      // The UID makes sure that no later Pod of this name is meant.
      if (labels && !equal(known.metadata.labels, { ...known.metadata.labels, ...labels })) {
        const patch = { kind: "merge", body: { metadata: { uid, labels } } } as const;
        this.#written.set(uid, await this.#pods.patch(at, patch, { signal }));
      }
      if (equal(known.status, merged(known.status, status))) return;
      const patch = { kind: "merge", body: { metadata: { uid }, status } } as const;
      this.#written.set(uid, await this.#pods.patch(at, patch, { subresource: "status", signal }));
    } catch (error) {
      this.#written.delete(uid);
      // After a conflict it is written again: a Pod that has ended has no later turn. One that was replaced is soon not ours.
      if (codeOf(error) !== "NotFound") throw error;
    }
  }

  async #delete(pod: Pod, signal: AbortSignal): Promise<void> {
    const { uid, name, namespace = "" } = pod.metadata;
    try {
      await this.#pods.delete({ name, namespace }, { uid, gracePeriodSeconds: 0, signal });
    } catch (error) {
      if (codeOf(error) !== "NotFound" && codeOf(error) !== "Conflict") throw error;
    }
    this.#gone.delete(uid);
    this.#written.delete(uid);
  }
}

/** The later one of two states of a Pod. Versions are compared as numbers, which both our store's and etcd's are. */
function newest(written: Pod | undefined, seen: Pod): Pod {
  if (written === undefined) return seen;
  return Number(written.metadata.resourceVersion) > Number(seen.metadata.resourceVersion) ? written : seen;
}

/** What a status becomes when another is merged into it: what that one says nothing of stays. */
function merged(known: PodStatus | undefined, status: PodStatus): PodStatus {
  return { ...known, ...status };
}

import type { Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { PodRecords } from "../records.ts";
import { watchTouches } from "../changes.ts";
import { type ManagedContext, ManagedPod, type NewSandbox } from "./managed-pod.ts";
import { isManaged } from "./selection.ts";
import type { ManagedRecord } from "./record.ts";

/** What is needed of the API's side. */
export interface ManagedReports {
  /** How a Pod's sidecar stands may have changed. */
  changed(uid: string): void;
  /** Nothing of a sidecar is left; what was said of it is to be taken back. */
  gone(pod: Pod): void;
}

/** Pods that take a turn at the same time. */
const concurrency = 8;

const hasEnded = ({ status }: Pod): boolean => status?.phase === "Succeeded" || status?.phase === "Failed";

/** The Pods of a node that have, get or lose a sidecar of the node's agent. */
export class ManagedPods implements AsyncDisposable {
  readonly #context: ManagedContext & { readonly records: PodRecords<ManagedRecord> };
  readonly #reports: ManagedReports;
  readonly #namespaces: (name: string) => StringMap;
  readonly #pods = new Map<string, ManagedPod>();
  readonly #queue: WorkQueue;

  /** @param namespaces labels of a namespace as last seen. */
  constructor(
    context: Omit<ManagedContext, "wake" | "records"> & { readonly records: PodRecords<ManagedRecord> },
    reports: ManagedReports,
    namespaces: (name: string) => StringMap,
  ) {
    this.#context = { ...context, wake: (uid) => this.#wake(uid) };
    this.#reports = reports;
    this.#namespaces = namespaces;
    this.#queue = new WorkQueue({
      clock: context.clock,
      concurrency,
      work: async (uid) => this.#turn(uid),
      failed: (uid, error) => {
        const pod = this.#pods.get(uid)?.record.pod.metadata;
        const level = codeOf(error) === "Unavailable" ? "debug" : "warn";
        const about = { pod: pod?.name, namespace: pod?.namespace, error: messageOf(error) };
        context.logger[level]("a Pod's sidecar is not as it should be", about);
      },
      backoff: { initialMs: 100, maxMs: 5000 },
    });
  }

  /** Takes over what an earlier agent left. */
  async adopt(): Promise<void> {
    const records = this.#context.records.load(this.#context.logger);
    await this.#context.traffic.adopt(records.map(({ traffic }) => traffic));
    for (const record of records) this.#add(record);
  }

  /** The Pods as the API has them, all of them. */
  sync(pods: readonly Pod[]): void {
    const known = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const pod of pods) this.put(pod);
    for (const [uid, pod] of this.#pods) if (!known.has(uid)) this.#end(uid, pod);
  }

  /** A Pod of this node, new or changed, or one whose namespace has changed. */
  put(pod: Pod): void {
    const { uid, namespace = "" } = pod.metadata;
    const wanted = isManaged(pod, this.#namespaces(namespace));
    const known = this.#pods.get(uid);
    if (known !== undefined) {
      known.update(pod);
      known.wanted = wanted;
    } else {
      const address = pod.status?.podIP;
      if (!wanted || hasEnded(pod) || address === undefined || address === "") return;
      this.#add({ pod, address, role: "sidecar", containers: {} });
    }
    this.#wake(uid);
  }

  /** Has every Pod looked at: they may have another control plane. */
  wakeAll(): void {
    for (const uid of this.#pods.keys()) this.#wake(uid);
  }

  /** A Pod that the API no longer has. */
  drop(pod: Pod): void {
    const { uid } = pod.metadata;
    const known = this.#pods.get(uid);
    if (known) this.#end(uid, known);
  }

  /**
   * Captures a new Pod's traffic, before any of its containers starts, and has its proxy started.
   * @returns whether that is possible before its first process; otherwise the proxy follows then.
   * @throws WeftError when the rules cannot be set.
   */
  async capture(pod: Pod, sandbox: NewSandbox): Promise<boolean> {
    const { uid } = pod.metadata;
    const known = this.#pods.get(uid);
    if (known && known.record.sandbox !== sandbox.sandbox) await this.#replace(known);
    if (!this.#pods.has(uid)) this.#add({ pod, address: sandbox.address, role: "sidecar", containers: {} });
    const hasPlace = await this.#pods.get(uid)?.captureNew(sandbox);
    this.#wake(uid);
    return hasPlace === true;
  }

  get(uid: string): ManagedPod | undefined {
    return this.#pods.get(uid);
  }

  /** Runs sidecars until the signal aborts. */
  async run(signal: AbortSignal): Promise<void> {
    using _watch = watchTouches(this.#context.layout.changes, (uid) => {
      if (this.#pods.has(uid)) this.#queue.add(uid);
    });
    await this.#queue.run(signal);
  }

  /** Lets go of all; proxies go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#pods.values()].map(async (pod) => pod[Symbol.asyncDispose]()));
    this.#pods.clear();
  }

  #add(record: ManagedRecord): void {
    const { uid } = record.pod.metadata;
    this.#pods.set(uid, new ManagedPod(this.#context, record));
    this.#queue.add(uid);
  }

  /** A Pod whose network was made anew has another address, and with it another proxy. */
  async #replace(pod: ManagedPod): Promise<void> {
    const { uid } = pod.record.pod.metadata;
    await pod.abandon();
    this.#pods.delete(uid);
    this.#context.records.remove(uid);
  }

  #end(uid: string, pod: ManagedPod): void {
    pod.ended = true;
    this.#queue.add(uid);
  }

  #wake(uid: string): void {
    this.#queue.add(uid);
    this.#reports.changed(uid);
  }

  async #turn(uid: string): Promise<number | undefined> {
    const pod = this.#pods.get(uid);
    if (pod === undefined) return undefined;
    const { gone, again } = await pod.run();
    this.#reports.changed(uid);
    if (!gone) return again;
    this.#pods.delete(uid);
    this.#context.records.remove(uid);
    this.#reports.gone(pod.record.pod);
    if (pod.moved && !pod.ended) this.put(pod.record.pod);
    return undefined;
  }
}

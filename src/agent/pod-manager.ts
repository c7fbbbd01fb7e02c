import type { Pod } from "#api/kubernetes/pod.ts";
import type { StringMap } from "#api/meta.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Addresses } from "./addresses.ts";
import type { CertificateState } from "./certificates/holder.ts";
import { watchTouches } from "./changes.ts";
import { proxyRole } from "./injection.ts";
import type { NodeContext } from "./node-context.ts";
import { PodRunner } from "./pod-runner.ts";
import { missingLabels, podStatus } from "./pod-status.ts";
import type { PodRecord } from "./records.ts";
import type { PodReport } from "./status-writer.ts";

/** What the manager needs of the API's side. */
export interface PodReports {
  /** The status of a Pod may have changed. */
  changed(uid: string): void;
  /** Nothing of a Pod is left. */
  remove(pod: Pod): void;
  /** Labels of a namespace as they are now. @throws WeftError `Unavailable` while the API is away. */
  namespaceLabels(name: string): Promise<StringMap>;
}

/** Pods that take a turn at the same time. */
const concurrency = 8;
/** How long to wait before an address is looked for again where all are taken. */
const addressRetryMs = 2000;

/** Runs the node's Pods: takes over those of an earlier agent, begins and ends them as the API says. */
export class PodManager implements AsyncDisposable {
  readonly #context: NodeContext;
  readonly #addresses: Addresses;
  readonly #reports: PodReports;
  readonly #runners = new Map<string, PodRunner>();
  /** Pods that have not begun yet, by UID. */
  readonly #fresh = new Map<string, Pod>();
  readonly #queue: WorkQueue;

  constructor(context: Omit<NodeContext, "wake">, addresses: Addresses, reports: PodReports) {
    this.#context = { ...context, wake: (uid) => this.#wake(uid) };
    this.#addresses = addresses;
    this.#reports = reports;
    this.#queue = new WorkQueue({
      clock: context.clock,
      concurrency,
      work: async (uid) => this.#turn(uid),
      failed: (uid, error) => {
        const pod = (this.#runners.get(uid)?.record.pod ?? this.#fresh.get(uid))?.metadata.name;
        // That the API is away is told once, by those who watch it.
        const level = codeOf(error) === "Unavailable" ? "debug" : "warn";
        context.logger[level]("a Pod's turn failed", { pod, uid, error: messageOf(error) });
      },
      backoff: { initialMs: 50, maxMs: 5000 },
    });
  }

  /** Takes over what an earlier agent left. */
  async adopt(): Promise<void> {
    const records = this.#context.records.load(this.#context.logger);
    await this.#context.traffic.adopt(records.map(({ traffic }) => traffic));
    for (const record of records) {
      this.#addresses.take(record.address);
      this.#add(record);
    }
    if (this.#runners.size > 0) this.#context.logger.info("took over Pods", { pods: this.#runners.size });
  }

  /** The Pods as the API has them, all of them: what is not among them has no right to run. */
  sync(pods: readonly Pod[]): void {
    const known = new Set(pods.map(({ metadata }) => metadata.uid));
    for (const pod of pods) this.put(pod);
    for (const [uid, runner] of this.#runners) {
      if (known.has(uid)) continue;
      runner.evict();
      this.#queue.add(uid);
    }
  }

  /** A Pod of this node, new or changed. */
  put(pod: Pod): void {
    const { uid } = pod.metadata;
    const runner = this.#runners.get(uid);
    if (runner !== undefined) {
      runner.update(pod);
      this.#wake(uid);
      return;
    }
    this.#fresh.delete(uid);
    if (pod.metadata.deletionTimestamp !== undefined) this.#reports.remove(pod);
    else if (pod.status?.phase !== "Succeeded" && pod.status?.phase !== "Failed") {
      this.#fresh.set(uid, pod);
      this.#queue.add(uid);
    }
  }

  /** A Pod that the API no longer has. */
  drop(pod: Pod): void {
    this.#fresh.delete(pod.metadata.uid);
    this.#runners.get(pod.metadata.uid)?.evict();
    this.#queue.add(pod.metadata.uid);
  }

  /** A Pod's status, or undefined for a Pod that is not here. */
  status(uid: string): PodReport | undefined {
    const runner = this.#runners.get(uid);
    if (runner === undefined) return undefined;
    const view = runner.view();
    const labels = missingLabels(view);
    return { pod: view.pod, status: podStatus(view), ...(labels && { labels }) };
  }

  /** How the certificate of a Pod's proxy stands; undefined where it has none. */
  certificate(uid: string): CertificateState | undefined {
    return this.#runners.get(uid)?.certificate;
  }

  /** The record of a Pod by name; the newest where one of an earlier time is still ending. */
  find(namespace: string, name: string): PodRecord | undefined {
    return this.records()
      .filter(({ pod }) => pod.metadata.namespace === namespace && pod.metadata.name === name)
      .toSorted((a, b) => b.startTime - a.startTime)[0];
  }

  /** What is known of all Pods. */
  records(): readonly PodRecord[] {
    return [...this.#runners.values()].map(({ record }) => record);
  }

  /** Runs Pods until the signal aborts; then lets go of them. */
  async run(signal: AbortSignal): Promise<void> {
    // Supervisors touch a file of their Pod's UID: an end is seen within milliseconds.
    using _watch = watchTouches(this.#context.layout.changes, (uid) => {
      if (this.#runners.has(uid)) this.#queue.add(uid);
    });
    await this.#queue.run(signal);
  }

  /** Lets go of all Pods; their processes go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#runners.values()].map(async (runner) => runner[Symbol.asyncDispose]()));
    this.#runners.clear();
  }

  #wake(uid: string): void {
    this.#queue.add(uid);
    this.#reports.changed(uid);
  }

  /**
   * Begins a Pod. Whether it gets a proxy is decided now, by its namespace as the API has it: a local copy may be older than the
   * Pod. Returns milliseconds until it is tried again, where no address is free.
   */
  async #begin(fresh: Pod): Promise<number | undefined> {
    const { clock, options, records, tell } = this.#context;
    const { uid, namespace = "" } = fresh.metadata;
    const labels = await this.#reports.namespaceLabels(namespace);
    const pod = this.#fresh.get(uid);
    if (pod === undefined) return undefined;
    let address: string;
    try {
      address = this.#addresses.next();
    } catch (error) {
      if (codeOf(error) !== "ResourceExhausted") throw error;
      tell(pod, { type: "Warning", reason: "FailedCreatePodSandBox", message: messageOf(error) });
      return addressRetryMs;
    }
    const role = proxyRole(pod, labels, options.revision);
    const record: PodRecord = { pod, address, role, startTime: clock.now(), prepared: false, containers: {} };
    records.save(record);
    this.#fresh.delete(uid);
    this.#add(record);
    this.#reports.changed(uid);
    return undefined;
  }

  #add(record: PodRecord): void {
    const { uid } = record.pod.metadata;
    this.#runners.set(uid, new PodRunner(this.#context, record));
    this.#queue.add(uid);
  }

  async #turn(uid: string): Promise<number | undefined> {
    const fresh = this.#fresh.get(uid);
    if (fresh !== undefined) return this.#begin(fresh);
    const runner = this.#runners.get(uid);
    if (runner === undefined) return undefined;
    const { phase, again } = await runner.run();
    this.#reports.changed(uid);
    if (phase === "here") return again;
    const { pod, address } = runner.record;
    this.#runners.delete(uid);
    this.#context.records.remove(uid);
    this.#addresses.free(address);
    this.#reports.remove(pod);
    return undefined;
  }
}

import type { Pod } from "#api/kubernetes/pod.ts";
import { systemClock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { silentLogger } from "#base/logger.ts";
import { timestamp } from "#base/timestamp.ts";
import { Informer } from "#kube/informer.ts";
import { keyOf } from "#kube/reflector.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Api } from "./cluster.ts";

/** How Pods do on a test's node. */
export interface NodeBehaviour {
  /** Milliseconds from a Pod's start until it is ready; 5 unless told. Undefined from the function: never. */
  readonly readyAfterMs?: (pod: Pod) => number | undefined;
  /** Milliseconds that a Pod takes to end; 5 unless told. */
  readonly endAfterMs?: number;
  readonly zone?: string;
}

/**
 * What a node's agent tells an API server, without running anything: it registers the node, renews its lease, and
 * writes the statuses of Pods as they would start, become ready and end.
 */
export class TestNode implements AsyncDisposable {
  readonly name: string;
  readonly #api: Api;
  readonly #behaviour: NodeBehaviour;
  readonly #pods: Informer<Pod>;
  readonly #queue: WorkQueue;
  readonly #stop = new AbortController();
  readonly #done: Promise<unknown>;
  readonly #since = new Map<string, number>();
  /** Pods that are not ready although they run. */
  readonly #broken = new Set<string>();
  #addresses = 0;
  #silent = false;

  constructor(api: Api, name: string, behaviour: NodeBehaviour = {}) {
    this.#api = api;
    this.name = name;
    this.#behaviour = behaviour;
    const logger = silentLogger;
    const selection = { fieldSelector: `spec.nodeName=${name}` };
    this.#pods = new Informer({ client: api.pods, selection, clock: systemClock, logger });
    this.#queue = new WorkQueue({
      clock: systemClock,
      concurrency: 16,
      failed: () => undefined,
      work: async (key) => {
        const pod = this.#pods.list().find(({ metadata }) => keyOf(metadata) === key);
        return pod === undefined ? undefined : this.#step(pod);
      },
    });
    this.#pods.onChange(({ after }) => {
      if (after !== undefined) this.#queue.add(keyOf(after.metadata));
    });
    this.#done = Promise.all([this.#pods.run(this.#stop.signal), this.#queue.run(this.#stop.signal), this.#beat()]);
  }

  static async join(api: Api, name: string, behaviour: NodeBehaviour = {}): Promise<TestNode> {
    const zone = behaviour.zone === undefined ? {} : { "topology.kubernetes.io/zone": behaviour.zone };
    await api.nodes.create({ metadata: { name, labels: { "kubernetes.io/hostname": name, ...zone } }, spec: {} });
    const node = new TestNode(api, name, behaviour);
    await node.tellReady();
    return node;
  }

  /** Writes the node's Ready condition. */
  async tellReady(): Promise<void> {
    const now = timestamp(systemClock.now());
    const ready = {
      type: "Ready",
      status: "True",
      lastHeartbeatTime: now,
      lastTransitionTime: now,
      reason: "AgentReady",
    };
    const body = { status: { conditions: [ready] } };
    await this.#api.nodes.patch({ name: this.name }, { kind: "merge", body }, { subresource: "status" });
  }

  /** Makes a Pod not ready, or ready again. */
  breakPod(pod: Pod, broken = true): void {
    if (broken) this.#broken.add(pod.metadata.uid);
    else this.#broken.delete(pod.metadata.uid);
    this.#queue.add(keyOf(pod.metadata));
  }

  /** The agent says nothing more of its node and Pods, or speaks again. */
  silence(silent: boolean): void {
    this.#silent = silent;
    for (const { metadata } of this.#pods.list()) this.#queue.add(keyOf(metadata));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }

  async #beat(): Promise<void> {
    const name = { namespace: "kube-node-lease", name: this.name };
    for (let beat = 0; !this.#stop.signal.aborted; beat += 1) {
      const spec = {
        holderIdentity: this.name,
        leaseDurationSeconds: 40,
        renewTime: new Date(systemClock.now()).toISOString().replace("Z", "000Z"),
      };
      const write = async (): Promise<unknown> =>
        beat === 0
          ? this.#api.leases.create({ metadata: name, spec })
          : this.#api.leases.patch(name, { kind: "merge", body: { spec } });
      if (!this.#silent) {
        await write().catch(() => undefined);
        if (beat % 5 === 4) await this.tellReady().catch(() => undefined);
      }
      await systemClock.sleep(100, this.#stop.signal).catch(() => undefined);
    }
  }

  async #step(pod: Pod): Promise<number | undefined> {
    if (this.#silent) return undefined;
    const { uid, deletionTimestamp } = pod.metadata;
    const key = deletionTimestamp === undefined ? uid : `${uid} ends`;
    const since = this.#since.get(key) ?? systemClock.monotonic();
    this.#since.set(key, since);
    const passed = systemClock.monotonic() - since;
    if (deletionTimestamp !== undefined) {
      const left = (this.#behaviour.endAfterMs ?? 5) - passed;
      if (left > 0) return left;
      await this.#api.pods.delete(pod.metadata, { uid, gracePeriodSeconds: 0 }).catch((error: unknown) => {
        if (codeOf(error) !== "NotFound") throw error;
      });
      return undefined;
    }
    const { readyAfterMs } = this.#behaviour;
    const after = readyAfterMs === undefined ? 5 : readyAfterMs(pod);
    const ready = after !== undefined && passed >= after && !this.#broken.has(uid);
    await this.#tell(pod, ready);
    return after === undefined || passed >= after ? undefined : after - passed;
  }

  async #tell(pod: Pod, ready: boolean): Promise<void> {
    const status = ready ? "True" : "False";
    const known = pod.status?.conditions?.find(({ type }) => type === "Ready");
    if (pod.status?.podIP !== undefined && known?.status === status) return;
    this.#addresses += 1;
    const podIP = pod.status?.podIP ?? `10.10.${Math.floor(this.#addresses / 200)}.${(this.#addresses % 200) + 2}`;
    const now = timestamp(systemClock.now());
    const conditions = [{ type: "Ready", status, lastTransitionTime: now }];
    await this.#api.pods.replaceStatus({
      ...pod,
      status: { phase: "Running", podIP, podIPs: [{ ip: podIP }], startTime: now, conditions },
    });
  }
}

/** Counts Pods as they come, become ready and go. */
export class PodWatch implements AsyncDisposable {
  readonly #stop = new AbortController();
  readonly #informer: Informer<Pod>;
  readonly #done: Promise<void>;
  /** Every Pod ever seen, by name. */
  readonly seen = new Set<string>();
  least = Number.POSITIVE_INFINITY;
  most = 0;

  constructor(api: Api, app: string) {
    const selection = { namespace: "shop", labelSelector: `app=${app}` };
    this.#informer = new Informer({ client: api.pods, selection, clock: systemClock, logger: silentLogger });
    this.#informer.onChange(({ after }) => {
      if (after !== undefined) this.seen.add(after.metadata.name);
      this.#count();
    });
    this.#done = this.#informer.run(this.#stop.signal);
  }

  get synced(): Promise<void> {
    return this.#informer.synced;
  }

  /** Pods that nobody asked to end. */
  get active(): readonly Pod[] {
    return this.#informer.list().filter(({ metadata }) => metadata.deletionTimestamp === undefined);
  }

  /** Pods that are ready, also those that are ending. */
  get ready(): readonly Pod[] {
    return this.active.filter(({ status }) =>
      status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True"),
    );
  }

  /** Begins to count anew. */
  reset(): void {
    this.least = this.ready.length;
    this.most = this.active.length;
  }

  #count(): void {
    this.least = Math.min(this.least, this.ready.length);
    this.most = Math.max(this.most, this.active.length);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}

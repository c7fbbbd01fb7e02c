import { parseDuration } from "#base/duration.ts";
import type { ContainerRunner } from "./container-runner.ts";
import type { NodeContext } from "./node-context.ts";
import { closeHostPorts, removeNetwork } from "./pod-network.ts";
import type { PodProxy } from "./pod-proxy.ts";
import { runPreStop } from "./pre-stop.ts";
import type { ProbeTarget } from "./probe.ts";
import type { PodRecord } from "./records.ts";

/** How long a proxy serves on from the removal's begin: Istio's `terminationDrainDuration`. */
const usualDrainMs = 5000;
/** How long the application of a Pod with a proxy serves on, so that others have learned that it goes. */
const noticeMs = 1000;
/** How long a proxy may take to end when asked. */
const proxyGraceMs = 2000;

/** The Pod's parts, as its removal needs them. */
export interface PodParts {
  readonly containers: () => readonly ContainerRunner[];
  readonly proxy: () => PodProxy | undefined;
  readonly target: (runner: ContainerRunner) => ProbeTarget;
}

/**
 * Ends a Pod. Its proxy begins to drain at once; the application is asked to end a moment later, when others have stopped to send;
 * the proxy follows when the application has ended and Istio's drain duration is over. What outlasts the grace is killed.
 */
export class PodRemoval implements Disposable {
  readonly #context: NodeContext;
  readonly #record: PodRecord;
  readonly #parts: PodParts;
  readonly #end = new AbortController();
  /** Containers whose preStop is under way or done, by name. */
  readonly #hooks = new Map<string, "running" | "done">();

  constructor(context: NodeContext, record: PodRecord, parts: PodParts) {
    this.#context = context;
    this.#record = record;
    this.#parts = parts;
  }

  /** Begins the removal; later only a shorter grace counts. */
  begin(graceMs: number): void {
    const { removal } = this.#record;
    const since = removal?.since ?? this.#context.clock.now();
    const least = Math.min(graceMs, removal?.graceMs ?? Infinity);
    if (removal?.graceMs === least) return;
    this.#record.removal = { since, graceMs: least, drained: removal?.drained ?? false };
  }

  /** One turn. Returns milliseconds until the next is due, or undefined when nothing of the Pod is left. */
  async run(): Promise<number | undefined> {
    const { removal } = this.#record;
    if (removal === undefined) return undefined;
    const left = removal.since + removal.graceMs - this.#context.clock.now();
    if (left > 0 && this.#record.prepared) {
      const again = await this.#wind(removal.since, left);
      if (again !== undefined) return Math.max(10, Math.min(again, left));
    }
    closeHostPorts(this.#context, this.#record);
    await removeNetwork(this.#context, this.#record);
    if (this.#record.baseId !== undefined) this.#context.baseIds.free(this.#record.baseId);
    return undefined;
  }

  /** Brings the processes nearer to their end, in order. Undefined when all have ended. */
  async #wind(since: number, left: number): Promise<number | undefined> {
    const proxy = this.#parts.proxy();
    const age = this.#context.clock.now() - since;
    await this.#drain(proxy);
    const containers = this.#parts.containers().filter(isLive);
    const notice = proxy === undefined ? 0 : noticeMs;
    if (containers.length > 0) {
      if (age < notice) return notice - age;
      const waits = containers.map((runner) => this.#stop(runner, left));
      return Math.min(...waits);
    }
    if (proxy === undefined || !(isLive(proxy.runner) || proxy.lives)) return undefined;
    const { terminationDrainDuration: drain } = this.#record.startedWith?.config ?? {};
    const drainMs = drain === undefined ? usualDrainMs : parseDuration(drain);
    if (age < drainMs) return drainMs - age;
    proxy.stop(Math.min(proxyGraceMs, left));
    return proxy.wind() ?? 200;
  }

  async #drain(proxy: PodProxy | undefined): Promise<void> {
    const { removal } = this.#record;
    if (removal === undefined || removal.drained || proxy?.runner.state.kind !== "running") return;
    removal.drained = true;
    await proxy.drain();
  }

  #stop(runner: ContainerRunner, left: number): number {
    const { name } = runner.container;
    const hook = this.#hooks.get(name);
    if (hook === undefined) {
      const { pod } = this.#record;
      this.#context.tell(pod, { type: "Normal", reason: "Killing", message: `Stopping container ${name}` });
      if (runner.container.lifecycle?.preStop !== undefined) {
        this.#hooks.set(name, "running");
        void this.#runHook(runner, left);
        return left;
      }
      this.#hooks.set(name, "done");
    }
    if (hook === "running") return left;
    runner.stop(left);
    return runner.wind() ?? 200;
  }

  async #runHook(runner: ContainerRunner, left: number): Promise<void> {
    const { clock, wake } = this.#context;
    await runPreStop(runner.container, this.#parts.target(runner), left, clock, this.#end.signal);
    this.#hooks.set(runner.container.name, "done");
    if (!this.#end.signal.aborted) wake(this.#record.pod.metadata.uid);
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }
}

function isLive(runner: ContainerRunner): boolean {
  runner.observe();
  const { kind } = runner.state;
  return kind === "running" || kind === "starting";
}

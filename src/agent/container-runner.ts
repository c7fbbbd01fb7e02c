import { rmSync } from "node:fs";
import type { Container } from "#api/kubernetes/container.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { EventText } from "#kube/events.ts";
import { signalProcess } from "#runtime/identity.ts";
import { killProcess, processState, startProcess } from "#runtime/process.ts";
import type { ProcessSpec, ProcessState } from "#runtime/process.ts";
import { Prober } from "./prober.ts";
import type { ProbeKind } from "./prober.ts";
import type { ProbeTarget } from "./probe.ts";
import type { ContainerRecord, Ending } from "./records.ts";

/** When a container that ended is started again. */
export interface RestartRules {
  /** Whether an end with this code (undefined: not known) is followed by another start. */
  readonly again: (code: number | undefined) => boolean;
  /** Milliseconds before the start that follows so many failures in a row. */
  readonly delay: (failures: number) => number;
  /** A start that lasted so long, in milliseconds, makes the failures before it forgotten. */
  readonly forgetMs: number;
}

/** The pauses of a kubelet: none, then 10 s doubling to 5 minutes, forgotten after 10 minutes. */
export function kubeletRules(policy: "Always" | "OnFailure" | "Never"): RestartRules {
  return {
    again: (code) => policy === "Always" || (policy === "OnFailure" && code !== 0),
    delay: (failures) => (failures === 0 ? 0 : Math.min(10_000 * 2 ** (failures - 1), 300_000)),
    forgetMs: 600_000,
  };
}

/** What a container's runner is given. */
export interface ContainerContext {
  /** The container as its Pod has it now; its image may be changed. */
  readonly container: () => Container;
  readonly record: ContainerRecord;
  readonly rules: RestartRules;
  /** The folder of a start. */
  readonly folder: (attempt: number) => string;
  /**
   * What to start. @throws WeftError `NotFound` or `InvalidArgument` when it cannot be started as things are: then `reason`
   * becomes the reason of waiting.
   */
  readonly prepare: (folder: string) => Promise<ProcessSpec>;
  readonly probes: (running: () => ProcessState) => ProbeTarget;
  readonly graceMs: () => number;
  readonly clock: Clock;
  /** The record has changed: it is to be kept, and the Pod looked at again. */
  readonly changed: () => void;
  readonly tell: (text: EventText) => void;
}

/** How long a start may take before its readiness probe's failures are told as events. */
const settleMs = 10_000;
/** How long to wait before what a container lacks is looked for again. */
const lackMs = 5_000;

/** Why a container cannot be started, as one of Kubernetes' reasons. */
export class StartRefusal extends WeftError {
  readonly reason: string;

  constructor(reason: string, error: unknown) {
    super(codeOf(error), messageOf(error), error);
    this.reason = reason;
  }
}

/** Runs one container of a Pod: starts, watches, probes, restarts and stops its process. Waits for nothing; its Pod calls it again. */
export class ContainerRunner implements Disposable {
  readonly #context: ContainerContext;
  #prober: Prober | undefined;
  /** What a start lacked is not looked for again before this time, on the clock that never runs backwards. */
  #lackUntil = 0;

  constructor(context: ContainerContext) {
    this.#context = context;
  }

  get record(): ContainerRecord {
    return this.#context.record;
  }

  get container(): Container {
    return this.#context.container();
  }

  /** How the current start's process stands. */
  get state(): ProcessState {
    const { record, folder } = this.#context;
    return record.attempt < 0 ? { kind: "absent" } : processState(folder(record.attempt));
  }

  /** Whether it has ended and is not started again. */
  get isDone(): boolean {
    const { ended } = this.record;
    return ended !== undefined && !this.#context.rules.again(ended.code);
  }

  /** Takes note of what happened, and starts or starts again what should run. Returns milliseconds until it is to be called again. */
  async run(): Promise<number | undefined> {
    this.observe();
    const state = this.state;
    if (state.kind === "starting") return 50;
    if (state.kind === "running") return this.#awaitKill();
    if (this.isDone) return undefined;
    const { record, rules, clock } = this.#context;
    const lack = this.#lackUntil - clock.monotonic();
    if (lack > 0) return lack;
    if (record.ended !== undefined) {
      const due = record.ended.finishedAt + rules.delay(record.failures) - clock.now();
      if (due > 0) {
        this.#backOff(due);
        return due;
      }
    }
    return this.#start();
  }

  /** Takes note of the process's end, and keeps its probes going while it runs. */
  observe(): void {
    const state = this.state;
    const { record, clock } = this.#context;
    if (state.kind === "running") {
      this.#probe(state.startedAt);
      return;
    }
    if (state.kind === "absent" || state.kind === "starting" || record.ended !== undefined) return;
    this.#prober?.[Symbol.dispose]();
    this.#prober = undefined;
    const started = state.startedAt === undefined ? {} : { startedAt: state.startedAt };
    record.ended =
      state.kind === "exited"
        ? { code: state.code, finishedAt: state.finishedAt, ...started }
        : { finishedAt: clock.now(), ...started };
    record.ready = false;
    record.started = false;
    delete record.killAt;
    this.#count(record.ended);
    this.#context.changed();
  }

  #count(ended: Ending): void {
    const { record, rules } = this.#context;
    const lasted = ended.finishedAt - (ended.startedAt ?? ended.finishedAt);
    if (lasted >= rules.forgetMs) record.failures = 0;
  }

  #backOff(due: number): void {
    const { container } = this;
    const { record } = this.#context;
    if (record.waiting?.reason === "CrashLoopBackOff") return;
    const seconds = Math.round(due / 1000);
    const message = `back-off ${seconds}s restarting failed container=${container.name}`;
    record.waiting = { reason: "CrashLoopBackOff", message };
    this.#context.tell({
      type: "Warning",
      reason: "BackOff",
      message: `Back-off restarting failed container ${container.name}`,
    });
    this.#context.changed();
  }

  async #start(): Promise<number | undefined> {
    const { record, folder, prepare, tell, changed } = this.#context;
    const { name, image } = this.container;
    // A start that an agent prepared and did not live to make is made now, in the same folder.
    const next = record.ended === undefined ? Math.max(record.attempt, 0) : record.attempt + 1;
    try {
      const spec = await prepare(folder(next));
      if (record.ended !== undefined) {
        record.last = record.ended;
        record.failures += 1;
      }
      delete record.ended;
      delete record.waiting;
      record.attempt = next;
      // On disk before the process exists, so that an agent that is killed here finds it again.
      changed();
      await this.#launch(spec);
      // The log before the last one is of no use to anybody.
      rmSync(folder(next - 2), { recursive: true, force: true });
    } catch (error) {
      if (!(error instanceof StartRefusal)) throw error;
      return this.#refuse(error);
    }
    const present = `Container image "${image ?? ""}" already present on machine`;
    tell({ type: "Normal", reason: "Pulled", message: present });
    tell({ type: "Normal", reason: "Created", message: `Created container: ${name}` });
    tell({ type: "Normal", reason: "Started", message: `Started container ${name}` });
    this.observe();
    changed();
    return undefined;
  }

  /** Waits for what the start lacks. */
  #refuse({ reason, message }: StartRefusal): number {
    const { record, clock, tell, changed } = this.#context;
    this.#lackUntil = clock.monotonic() + lackMs;
    if (record.waiting?.reason !== reason || record.waiting.message !== message) {
      tell({ type: "Warning", reason: "Failed", message: `${reason}: ${message}` });
      record.waiting = { reason, message };
      changed();
    }
    return lackMs;
  }

  async #launch(spec: ProcessSpec): Promise<void> {
    const { record, clock } = this.#context;
    try {
      await startProcess(spec, clock);
    } catch (error) {
      record.ended = { finishedAt: clock.now() };
      throw new StartRefusal("RunContainerError", error);
    }
  }

  #probe(startedAt: number): void {
    if (this.#prober !== undefined) return;
    const { record, probes, clock, changed, tell } = this.#context;
    this.#prober = new Prober(
      this.container,
      probes(() => this.state),
      {
        started: () => {
          record.started = true;
          changed();
        },
        ready: (ready) => {
          if (record.ready === ready) return;
          record.ready = ready;
          changed();
        },
        failed: (kind, message) => this.#fail(kind, message),
        unhealthy: (kind, message) => {
          // A program that is still starting is not ready, which is no news.
          if (kind === "readiness" && !record.ready && clock.now() - startedAt < settleMs) return;
          const what = `${kind.charAt(0).toUpperCase()}${kind.slice(1)} probe failed`;
          tell({ type: "Warning", reason: "Unhealthy", message: `${what}: ${message}` });
        },
      },
      clock,
      { startedAt, started: record.started, ready: record.ready },
    );
  }

  #fail(kind: ProbeKind, message: string): void {
    const { container } = this;
    const { tell } = this.#context;
    const { name } = container;
    tell({
      type: "Normal",
      reason: "Killing",
      message: `Container ${name} failed ${kind} probe, will be restarted: ${message}`,
    });
    const probe = kind === "liveness" ? container.livenessProbe : container.startupProbe;
    const seconds = probe?.terminationGracePeriodSeconds;
    this.stop(seconds === undefined ? this.#context.graceMs() : seconds * 1000);
  }

  /** Asks the process to end; after the grace it is killed. Asked again, only an earlier kill counts. */
  stop(graceMs: number, signal: NodeJS.Signals = "SIGTERM"): void {
    const { record, clock, changed } = this.#context;
    const { state } = this;
    if (state.kind !== "running") return;
    const killAt = clock.now() + graceMs;
    if (record.killAt === undefined) signalProcess(state.identity, signal);
    record.killAt = Math.min(record.killAt ?? killAt, killAt);
    changed();
  }

  /** Kills what has been asked to end and did not in time. */
  #awaitKill(): number | undefined {
    const { record, folder, clock } = this.#context;
    if (record.killAt === undefined) return undefined;
    const due = record.killAt - clock.now();
    if (due > 0) return due;
    killProcess(folder(record.attempt));
    return 1000;
  }

  /** For a Pod that is being removed: notes an end, kills in time, starts nothing. Returns milliseconds until it is to be called again. */
  wind(): number | undefined {
    this.observe();
    const { state } = this;
    if (state.kind === "starting") return 50;
    return state.kind === "running" ? this.#awaitKill() : undefined;
  }

  /** Stops the probes; the process goes on. */
  [Symbol.dispose](): void {
    this.#prober?.[Symbol.dispose]();
    this.#prober = undefined;
  }
}

import type { Container } from "#api/kubernetes/container.ts";
import type { Probe } from "#api/kubernetes/probe.ts";
import type { Clock } from "#base/clock.ts";
import { runProbe } from "./probe.ts";
import type { ProbeResult, ProbeTarget } from "./probe.ts";

/** The probes of a container, by what they decide. */
export type ProbeKind = "startup" | "readiness" | "liveness";

/** What probes tell of a container. */
export interface ProbeEvents {
  /** The startup probe has succeeded. */
  started(): void;
  ready(ready: boolean): void;
  /** The container must be restarted: its startup or liveness probe failed for good. */
  failed(kind: ProbeKind, message: string): void;
  /** One probe failed; for people. */
  unhealthy(kind: ProbeKind, message: string): void;
}

/** How a container stands when its probes begin, or begin again with another agent. */
export interface ProbeStart {
  readonly startedAt: number;
  readonly started: boolean;
  readonly ready: boolean;
}

/** Counts successes and failures in a row and says when one of them is enough. */
class Tally {
  readonly #probe: Probe;
  #last: boolean | undefined;
  #row = 0;

  constructor(probe: Probe) {
    this.#probe = probe;
  }

  /** The verdict that this result leads to, or undefined while it is not enough. */
  add(ok: boolean): boolean | undefined {
    this.#row = ok === this.#last ? this.#row + 1 : 1;
    this.#last = ok;
    const enough = ok ? this.#probe.successThreshold : this.#probe.failureThreshold;
    return this.#row >= enough ? ok : undefined;
  }
}

/** Runs the probes of one start of a container, as a kubelet does, until disposed. */
export class Prober implements Disposable {
  readonly #container: Container;
  readonly #target: ProbeTarget;
  readonly #events: ProbeEvents;
  readonly #clock: Clock;
  readonly #end = new AbortController();

  constructor(container: Container, target: ProbeTarget, events: ProbeEvents, clock: Clock, start: ProbeStart) {
    this.#container = container;
    this.#target = target;
    this.#events = events;
    this.#clock = clock;
    void this.#run(start);
  }

  [Symbol.dispose](): void {
    this.#end.abort();
  }

  async #run(start: ProbeStart): Promise<void> {
    const { startupProbe, readinessProbe, livenessProbe } = this.#container;
    let up = start.started;
    if (startupProbe !== undefined && !up) {
      await this.#loop("startup", startupProbe, start, (ok, message) => {
        up = ok;
        if (!ok) this.#events.failed("startup", message);
        return true;
      });
    } else up = true;
    if (!up || this.#end.signal.aborted) return;
    if (!start.started) this.#events.started();
    if (readinessProbe === undefined) {
      if (!start.ready) this.#events.ready(true);
    } else {
      void this.#loop("readiness", readinessProbe, start, (ok) => {
        this.#events.ready(ok);
        return false;
      });
    }
    if (livenessProbe === undefined) return;
    await this.#loop("liveness", livenessProbe, start, (ok, message) => {
      if (!ok) this.#events.failed("liveness", message);
      return !ok;
    });
  }

  /** Asks again and again; ends when the verdict is taken as final. */
  async #loop(
    kind: ProbeKind,
    probe: Probe,
    start: ProbeStart,
    verdict: (ok: boolean, message: string) => boolean,
  ): Promise<void> {
    const { signal } = this.#end;
    const tally = new Tally(probe);
    try {
      const due = start.startedAt + (probe.initialDelaySeconds ?? 0) * 1000 - this.#clock.now();
      if (due > 0) await this.#clock.sleep(due, signal);
      for (;;) {
        const result: ProbeResult = await runProbe(probe, this.#target, this.#clock, signal);
        if (signal.aborted) return;
        if (!result.ok) this.#events.unhealthy(kind, result.message);
        const decided = tally.add(result.ok);
        if (decided !== undefined && verdict(decided, result.message)) return;
        await this.#clock.sleep(this.#pause(kind, probe, start), signal);
      }
    } catch (error) {
      if (!signal.aborted) throw error;
    }
  }

  /** Just after a start, readiness is asked for often, so that a program that is ready is used at once. */
  #pause(kind: ProbeKind, probe: Probe, start: ProbeStart): number {
    const period = probe.periodSeconds * 1000;
    const age = this.#clock.now() - start.startedAt;
    return kind === "readiness" && age < 10_000 ? Math.min(period, 200) : period;
  }
}

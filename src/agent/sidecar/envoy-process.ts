import { type ChildProcess, spawn } from "node:child_process";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { proxyPorts } from "../bootstrap.ts";
import type { ProxyLook } from "../reports/gauge.ts";
import { askLocal } from "./local-http.ts";

/** How a proxy is run beside its agent. */
export interface EnvoyProcessOptions {
  readonly program: string;
  readonly args: readonly string[];
  /** Milliseconds that its callers get to go when the Pod ends. */
  readonly drainMs: number;
  /** Whether it then waits until there are no connections, and how many milliseconds at least. */
  readonly awaitConnections: boolean;
  readonly leastDrainMs: number;
  readonly clock: Clock;
  readonly logger: Logger;
}

const admin = `http://127.0.0.1:${proxyPorts.admin}`;
/** Milliseconds after which a proxy that was asked to end is killed, and between looks at its connections. */
const killMs = 2000;
const lookMs = 1000;
/** Listeners that are no traffic of the mesh: readiness and metrics. */
const ownListeners = /^listener\.(?:admin|0\.0\.0\.0_15021|0\.0\.0\.0_15090|envoy_internal_[^.]*)\./;

/** The number of connections that a proxy's own list of statistics tells; undefined where it tells of none. */
export function openConnections(stats: string): number | undefined {
  const lines = stats.split("\n").filter((line) => line.startsWith("listener.") && !line.includes("worker_"));
  const counts = lines.filter((line) => !ownListeners.test(line)).map((line) => Number(line.split(": ")[1] ?? 0));
  return counts.length === 0 ? undefined : counts.reduce((sum, count) => sum + count, 0);
}

/** One run of a proxy: as long as it runs, its container does. */
export class EnvoyProcess {
  readonly #options: EnvoyProcessOptions;
  readonly #child: ChildProcess;
  /** Resolves with how it ended. */
  readonly ended: Promise<string>;
  readonly #startedAt: number;
  #drainingSince: number | undefined;
  #drained = false;
  #over = false;

  constructor(options: EnvoyProcessOptions) {
    this.#options = options;
    this.#startedAt = options.clock.now();
    this.#child = spawn(options.program, options.args, { stdio: ["ignore", "inherit", "inherit"] });
    const { promise, resolve } = Promise.withResolvers<string>();
    this.ended = promise;
    const over = (how: string): void => {
      this.#over = true;
      resolve(how);
    };
    this.#child.once("error", (error) => over(`it could not be started: ${messageOf(error)}`));
    this.#child.once("exit", (code, signal) =>
      over(signal === null ? `it ended with code ${code}` : `it was ended by ${signal}`),
    );
  }

  /** How it stands; its container tells of earlier ones. */
  get look(): ProxyLook {
    const { pid } = this.#child;
    const draining = this.#drainingSince;
    return {
      process: this.#over ? "Ended" : "Running",
      ...(pid !== undefined && !this.#over && { pid }),
      startedAt: this.#startedAt,
      restarts: 0,
      ...(draining !== undefined && { drainingSince: draining }),
    };
  }

  /** Has it tell its callers to go; it goes on with those who stay. */
  async drain(): Promise<void> {
    this.#drained = true;
    this.#drainingSince ??= this.#options.clock.now();
    try {
      await askLocal(`${admin}/drain_listeners?inboundonly&graceful&skip_exit`, { method: "POST" });
    } catch (error) {
      this.#options.logger.warn("the proxy does not drain", { error: messageOf(error) });
    }
  }

  /**
   * Ends it as Istio's agent does: callers get their time to go, unless they have had it. A native sidecar was drained when the Pod
   * began to end, and is ended after the application.
   */
  async end(): Promise<void> {
    if (!this.#drained && !this.#over) {
      await this.drain();
      await Promise.race([this.#grace(), this.ended]);
    }
    this.quit();
    await this.ended;
  }

  /** Ends it at once. */
  quit(): void {
    this.#drained = true;
    if (this.#over) return;
    this.#child.kill("SIGTERM");
    const kill = this.#options.clock.after(killMs, () => this.#child.kill("SIGKILL"));
    void this.ended.then(() => kill[Symbol.dispose]());
  }

  async #grace(): Promise<void> {
    const { clock, drainMs, awaitConnections, leastDrainMs } = this.#options;
    if (!awaitConnections) return clock.sleep(drainMs);
    await clock.sleep(leastDrainMs);
    while (!this.#over && (await this.#connections()) > 0) await clock.sleep(lookMs);
    return undefined;
  }

  async #connections(): Promise<number> {
    try {
      const { body } = await askLocal(`${admin}/stats?usedonly&filter=downstream_cx_active$`);
      return openConnections(body.toString("utf8")) ?? 0;
    } catch {
      return 0;
    }
  }
}

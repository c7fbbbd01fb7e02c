import { type ChildProcess, spawn } from "node:child_process";
import { closeSync, openSync } from "node:fs";
import { join } from "node:path";
import type { DiscoveryOptions } from "#discovery/discovery.ts";

/** A control plane in a process of its own, which can be killed and started again. */
export class DiscoveryProcess implements AsyncDisposable {
  readonly #options: DiscoveryOptions;
  readonly #log: string;
  #child: ChildProcess | undefined;

  /** @param log the file to which all of its processes write what they log. */
  constructor(options: DiscoveryOptions, log: string) {
    this.#options = options;
    this.#log = log;
  }

  start(): void {
    const main = join(import.meta.dirname, "discovery-main.ts");
    const log = openSync(this.#log, "a");
    this.#child = spawn(process.execPath, [main, JSON.stringify(this.#options)], { stdio: ["ignore", log, log] });
    closeSync(log);
  }

  /** Kills it as `kill -9` does, and waits until it is gone. */
  async kill(): Promise<void> {
    const child = this.#child;
    this.#child = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = new Promise((resolve) => {
      child.once("exit", resolve);
    });
    child.kill("SIGKILL");
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }
}

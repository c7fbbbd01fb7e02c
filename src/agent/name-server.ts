import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { Container } from "#api/kubernetes/container.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { ProcessSpec } from "#runtime/process.ts";
import { watchTouches } from "./changes.ts";
import { ContainerRunner } from "./container-runner.ts";
import type { AgentLayout } from "./layout.ts";
import type { AgentOptions } from "./options.ts";
import type { PodSite } from "./pod-site.ts";
import { proxyRules } from "./proxy.ts";
import { newContainer, writeWhole } from "./records.ts";
import type { ContainerRecord } from "./records.ts";

const program = join(import.meta.dirname, "dns", "dns-main.ts");
const key = "name-server";
const lookMs = 2000;
const logBytes = 1_000_000;

/** What stands for the process where a container is wanted. */
const container: Container = {
  name: key,
  resources: {},
  terminationMessagePath: "/dev/termination-log",
  terminationMessagePolicy: "File",
};

interface State {
  /** The agent's version that started it. */
  version: string;
  readonly process: ContainerRecord;
}

/** What the name server is started with. */
export interface NameServerOptions
  extends Pick<AgentOptions, "hostNetwork" | "resolvers" | "version">, Pick<PodSite, "groups"> {
  /** Whether it is to run; always unless told. */
  readonly needed?: () => boolean;
}

/**
 * Keeps the node's name server running: a process beside the agent, so that programs find each other while the agent is away. One
 * that an agent of another version started is replaced.
 */
export class NameServer implements Disposable {
  readonly #options: NameServerOptions;
  readonly #layout: AgentLayout;
  readonly #state: State;
  readonly #runner: ContainerRunner;
  readonly #queue: WorkQueue;

  constructor(options: NameServerOptions, layout: AgentLayout, clock: Clock, logger: Logger) {
    this.#options = options;
    this.#layout = layout;
    this.#state = this.#load();
    this.#runner = new ContainerRunner({
      container: () => container,
      record: this.#state.process,
      rules: proxyRules,
      folder: (attempt) => join(layout.nameServer, String(attempt)),
      prepare: async (folder) => Promise.resolve(this.#spec(folder)),
      probes: () => ({ address: "127.0.0.1", ports: [], inContainer: () => undefined }),
      graceMs: () => 1000,
      clock,
      changed: () => {
        writeWhole(this.#record, JSON.stringify(this.#state));
        this.#queue.add(key);
      },
      tell: () => undefined,
    });
    this.#queue = new WorkQueue({
      clock,
      work: async () => this.#turn(),
      failed: (_key, error) => logger.warn("the name server could not be kept running", { error: messageOf(error) }),
    });
  }

  get #record(): string {
    return join(this.#layout.nameServer, "state.json");
  }

  #load(): State {
    try {
      return JSON.parse(readFileSync(this.#record, "utf8")) as State;
    } catch {
      return { version: this.#options.version, process: newContainer() };
    }
  }

  /** Keeps it running until the signal aborts; then it goes on by itself. */
  async run(signal: AbortSignal): Promise<void> {
    mkdirSync(this.#layout.names, { recursive: true, mode: 0o700 });
    using _watch = watchTouches(this.#layout.changes, (name) => {
      if (name === key) this.#queue.add(key);
    });
    this.#queue.add(key);
    await this.#queue.run(signal);
  }

  get #notify(): string {
    return join(this.#layout.changes, key);
  }

  async #turn(): Promise<number> {
    if (this.#state.version !== this.#options.version) {
      this.#state.version = this.#options.version;
      this.#runner.stop(1000);
    }
    if (this.#options.needed?.() === false) {
      this.#runner.stop(1000);
      return Math.min(this.#runner.wind() ?? lookMs, lookMs);
    }
    const again = await this.#runner.run();
    return Math.min(again ?? lookMs, lookMs);
  }

  #spec(folder: string): ProcessSpec {
    const { hostNetwork, resolvers, groups } = this.#options;
    return {
      folder,
      notify: this.#notify,
      argv: [
        process.execPath,
        "--disable-warning=ExperimentalWarning",
        "--max-semi-space-size=2",
        program,
        this.#layout.names,
        ...resolvers,
      ],
      env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin" },
      cwd: "/",
      network: "/proc/self/ns/net",
      mounts: [],
      ...(groups && { groups }),
      inherit: hostNetwork,
      logBytes,
    };
  }

  [Symbol.dispose](): void {
    this.#runner[Symbol.dispose]();
  }
}

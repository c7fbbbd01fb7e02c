import { readFileSync, statSync } from "node:fs";
import type { Container } from "#api/kubernetes/container.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { messageOf } from "#base/errors.ts";
import { probeAddress } from "#runtime/fabric.ts";
import type { ProcessState } from "#runtime/process.ts";
import type { CertificateState } from "./certificates/holder.ts";
import { ContainerRunner, kubeletRules } from "./container-runner.ts";
import type { RestartRules } from "./container-runner.ts";
import { proxyContainer } from "./layout.ts";
import { keep } from "./node-context.ts";
import type { NodeContext, PodPhase } from "./node-context.ts";
import {
  closeHostPorts,
  hasHostPorts,
  hasNetwork,
  leadTraffic,
  openHostPorts,
  prepareNetwork,
  removeNetwork,
} from "./pod-network.ts";
import { PodProxy } from "./pod-proxy.ts";
import { containerStart } from "./pod-start.ts";
import { isSidecar } from "./pod-status.ts";
import type { ContainerView, PodView } from "./pod-status.ts";
import type { ProbeTarget } from "./probe.ts";
import { newContainer } from "./records.ts";
import type { PodRecord } from "./records.ts";
import { PodRemoval } from "./pod-removal.ts";

/** How often a Pod is looked at without any sign of change: forwarders and lost supervisors tell nobody. */
const lookMs = 2000;
const hostPortRetryMs = 5000;

/** Runs one Pod: its network, its proxy and its containers. Each turn brings it as far as it can get without waiting. */
export class PodRunner implements AsyncDisposable {
  readonly record: PodRecord;
  readonly #context: NodeContext;
  readonly #runners = new Map<string, ContainerRunner>();
  readonly #removal: PodRemoval;
  readonly #proxy: PodProxy | undefined;
  #hostPorts: string | undefined;

  constructor(context: NodeContext, record: PodRecord) {
    this.#context = context;
    this.record = record;
    if (record.role !== "none")
      this.#proxy = new PodProxy(context, record, (container, state) => this.#target(container, state));
    this.#removal = new PodRemoval(context, record, {
      containers: () => [...this.#init(), ...this.#containers()].filter(({ container }) => !this.#isProxy(container)),
      proxy: () => this.#proxy,
      target: (runner) => this.#target(runner.container, () => runner.state),
    });
  }

  /** Takes note of the Pod as the API has it now. A container whose image was changed is started anew. */
  update(pod: Pod): void {
    const before = this.record.pod;
    this.record.pod = pod;
    for (const { name, image } of before.spec.containers) {
      const now = pod.spec.containers.find((one) => one.name === name);
      if (now === undefined || now.image === image) continue;
      const message = `Container ${name} definition changed, will be restarted`;
      this.#context.tell(pod, { type: "Normal", reason: "Killing", message });
      this.#runners.get(name)?.stop(pod.spec.terminationGracePeriodSeconds * 1000);
    }
    if (pod.metadata.deletionTimestamp !== undefined)
      this.#removal.begin((pod.metadata.deletionGracePeriodSeconds ?? pod.spec.terminationGracePeriodSeconds) * 1000);
    this.#context.records.save(this.record);
  }

  /** The Pod is no longer in the API: nothing of it may stay. */
  evict(): void {
    this.#removal.begin(0);
    this.#context.records.save(this.record);
  }

  /** One turn. Returns whether the Pod is gone, and else after how many milliseconds it wants another turn. */
  async run(): Promise<{ readonly phase: PodPhase; readonly again?: number }> {
    if (this.record.removal !== undefined) return this.#remove();
    if (this.#isFinished()) {
      await this.#finish();
      return { phase: "here" };
    }
    if (!(await this.#prepare())) return { phase: "here", again: hostPortRetryMs };
    const waits = [lookMs, ...(await this.#runContainers())];
    if (hasHostPorts(this.record)) await this.#openHostPorts();
    this.#context.records.save(this.record);
    return { phase: "here", again: Math.min(...waits) };
  }

  /** The Pod as its status tells of it. */
  view(): PodView {
    const { pod, address, startTime, traffic } = this.record;
    const proxy = this.#proxy;
    const certificate = this.certificate;
    const proof = proxy?.proof;
    return {
      pod,
      address,
      hostIp: this.#context.network.hostIp,
      startTime,
      init: this.#init().map(look),
      containers: this.#containers().map(look),
      ...(proxy && { restartDue: proxy.restartDue }),
      ...(certificate && { certificate }),
      ...(proof && { proof }),
      ...(proxy?.upgrade && { upgrade: proxy.upgrade }),
      ...(traffic && { traffic }),
      proxyReady: proxy?.ready,
      ...(this.#hostPorts === undefined ? {} : { problem: this.#hostPorts }),
      now: this.#context.clock.now(),
    };
  }

  /** How the certificate of the Pod's proxy stands, for a proxy that can ask for it. */
  get certificate(): CertificateState | undefined {
    return this.#proxy?.certificate;
  }

  /** Lets go of the Pod; its processes go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    for (const runner of this.#runners.values()) runner[Symbol.dispose]();
    this.#removal[Symbol.dispose]();
    await this.#proxy?.[Symbol.asyncDispose]();
  }

  #init(): readonly ContainerRunner[] {
    return (this.record.pod.spec.initContainers ?? []).map((container) => this.#runner(container));
  }

  #containers(): readonly ContainerRunner[] {
    return this.record.pod.spec.containers.map((container) => this.#runner(container));
  }

  #isProxy({ name }: Container): boolean {
    return this.#proxy !== undefined && name === proxyContainer;
  }

  #runner(container: Container): ContainerRunner {
    if (this.#proxy && this.#isProxy(container)) return this.#proxy.runner;
    const known = this.#runners.get(container.name);
    if (known !== undefined) return known;
    const { name } = container;
    const { record } = this;
    const { pod } = record;
    const context = this.#context;
    const layout = context.layout.pod(pod.metadata.uid);
    record.containers[name] ??= newContainer();
    const runner = new ContainerRunner({
      container: () => this.#definition(container),
      record: record.containers[name],
      rules: this.#rules(container),
      folder: (attempt) => layout.attempt(name, attempt),
      prepare: async (folder) => containerStart(context, record, this.#definition(container), folder),
      probes: (state) => this.#target(container, state),
      graceMs: () => record.pod.spec.terminationGracePeriodSeconds * 1000,
      clock: context.clock,
      changed: () => keep(context, record),
      tell: (text) => context.tell(record.pod, text),
    });
    this.#runners.set(name, runner);
    return runner;
  }

  /** A container as the Pod has it now. */
  #definition(first: Container): Container {
    const { containers, initContainers = [] } = this.record.pod.spec;
    return [...containers, ...initContainers].find(({ name }) => name === first.name) ?? first;
  }

  #rules(container: Container): RestartRules {
    const { restartPolicy, initContainers = [] } = this.record.pod.spec;
    if (!initContainers.includes(container)) return kubeletRules(restartPolicy);
    if (isSidecar(container)) return kubeletRules("Always");
    return kubeletRules(restartPolicy === "Never" ? "Never" : "OnFailure");
  }

  #target(container: Container, state: () => ProcessState): ProbeTarget {
    return {
      address: this.record.address,
      source: probeAddress,
      ports: container.ports ?? [],
      inContainer: (command) => {
        const now = state();
        return now.kind === "running" ? insideProcess(now.identity.pid, command) : undefined;
      },
    };
  }

  /** Whether every container has ended for good. */
  #isFinished(): boolean {
    const own = this.#containers().filter(({ container }) => !this.#isProxy(container));
    const failed = this.#init().some((runner) => runner.isDone && runner.record.ended?.code !== 0);
    return failed || (own.length > 0 && own.every((runner) => runner.isDone));
  }

  /** Nothing runs any more: the proxy and the network go, logs stay. */
  async #finish(): Promise<void> {
    const { record } = this;
    if (!record.prepared) return;
    closeHostPorts(this.#context, record);
    await this.#proxy?.close();
    await removeNetwork(this.#context, record);
    record.prepared = false;
    this.#context.records.save(record);
  }

  async #prepare(): Promise<boolean> {
    const { record } = this;
    const context = this.#context;
    const there = record.prepared && hasNetwork(context, record);
    try {
      if (!there) {
        await this.#proxy?.close();
        await this.#proxy?.claim();
        context.records.save(record);
        await prepareNetwork(context, record);
        record.prepared = true;
        context.records.save(record);
      }
    } catch (error) {
      const message = messageOf(error);
      context.logger.warn("a Pod's network could not be made", { pod: record.pod.metadata.name, error: message });
      context.tell(record.pod, { type: "Warning", reason: "FailedCreatePodSandBox", message });
      return false;
    }
    await this.#proxy?.serve(!there);
    if (there) await this.#leadTraffic();
    return true;
  }

  /** A change that does not succeed is tried again by the next turn; meanwhile connections are led as before. */
  async #leadTraffic(): Promise<void> {
    try {
      await leadTraffic(this.#context, this.record);
    } catch (error) {
      const about = { pod: this.record.pod.metadata.name, error: messageOf(error) };
      this.#context.logger.warn("a Pod's connections are not led as they should be", about);
    }
  }

  /** Init containers one after another, then the proxy and the others together. */
  async #runContainers(): Promise<readonly number[]> {
    for (const runner of this.#init()) {
      const again = await runner.run();
      const passed = isSidecar(runner.container) ? runner.record.started : runner.isDone;
      if (!passed) return again === undefined ? [] : [again];
    }
    const proxy = this.#proxy;
    const waits = [await proxy?.run()];
    if (!proxy || !this.#holdsApplication(proxy.runner))
      for (const runner of this.#containers()) if (runner !== proxy?.runner) waits.push(await runner.run());
    return waits.filter((wait) => wait !== undefined);
  }

  /** Whether containers wait for the proxy, which only those do that have not been started. */
  #holdsApplication(proxy: ContainerRunner): boolean {
    if (this.record.settings?.config.holdApplicationUntilProxyStarts !== true || proxy.record.ready) return false;
    return this.#containers().every((runner) => runner === proxy || runner.record.attempt < 0);
  }

  async #openHostPorts(): Promise<void> {
    const problem = await openHostPorts(this.#context, this.record);
    if (problem !== undefined && problem !== this.#hostPorts)
      this.#context.tell(this.record.pod, { type: "Warning", reason: "HostPortNotAvailable", message: problem });
    this.#hostPorts = problem;
  }

  async #remove(): Promise<{ readonly phase: PodPhase; readonly again?: number }> {
    const again = await this.#removal.run();
    this.#context.records.save(this.record);
    if (again !== undefined) return { phase: "here", again };
    await this[Symbol.asyncDispose]();
    return { phase: "gone" };
  }
}

function look(runner: ContainerRunner): ContainerView {
  return { container: runner.container, record: runner.record, state: runner.state, done: runner.isDone };
}

/** A command line that runs as a process does: in its namespaces and folder, as its user, with its environment. */
function insideProcess(pid: number, command: readonly string[]): [string, ...string[]] {
  const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0").filter(Boolean);
  const { uid, gid } = statSync(`/proc/${pid}`);
  const place = ["--net", "--mount", "--uts", "--wd", `--setuid=${uid}`, `--setgid=${gid}`];
  return ["nsenter", `--target=${pid}`, ...place, "--", "env", "-i", ...environment, ...command];
}

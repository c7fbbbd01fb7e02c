import type { Container } from "#api/kubernetes/container.ts";
import type { ProxyUpgrade } from "#api/kubernetes/proxy-upgrade.ts";
import { messageOf } from "#base/errors.ts";
import type { CertificateState } from "./certificates/holder.ts";
import type { Proof } from "./certificates/proof.ts";
import { ContainerRunner } from "./container-runner.ts";
import type { ProcessState } from "#runtime/process.ts";
import { Handover } from "./handover/handover.ts";
import type { ProbeTarget } from "./probe.ts";
import { proxyContainer } from "./layout.ts";
import { keep } from "./node-context.ts";
import type { ProxyContext } from "./node-context.ts";
import { lenientKey, proxyNode } from "./node-metadata.ts";
import { awaitNames, openServices, type ProxyServices } from "./pod-services.ts";
import { speaksMutualTls } from "./pod-status.ts";
import { drainProxy, handshakes, takesPlainText } from "./proxy-admin.ts";
import { proxyReadiness, proxyRules, sidecarContainer } from "./proxy.ts";
import { fetchSettings, startsAlike } from "./proxy-settings.ts";
import { proxyStart } from "./proxy-start.ts";
import { newContainer } from "./records.ts";
import { type PodReport, reportPod } from "./reports/pod-report.ts";
import type { ProxyRecord } from "./records.ts";

/** How soon is looked again whether a process that was killed has ended. */
const endingMs = 100;

/**
 * The proxy of one Pod, whoever runs the Pod: its process, and what the agent serves to it. The process outlives the agent, and is
 * taken over by the next one with the same record.
 */
export class PodProxy implements AsyncDisposable {
  /** Its process, run as a container's. */
  readonly runner: ContainerRunner;
  readonly #context: ProxyContext;
  readonly #record: ProxyRecord;
  readonly #handover: Handover;
  #services: ProxyServices | undefined;
  #report: PodReport | undefined;
  #drainingSince: number | undefined;

  /** @param target whom the proxy's probes ask. */
  constructor(
    context: ProxyContext,
    record: ProxyRecord,
    target: (container: Container, state: () => ProcessState) => ProbeTarget,
  ) {
    this.#context = context;
    this.#record = record;
    record.containers[proxyContainer] ??= newContainer();
    this.runner = new ContainerRunner({
      container: () => this.#container,
      record: record.containers[proxyContainer],
      rules: proxyRules,
      folder: (attempt) => context.layout.pod(record.pod.metadata.uid).attempt(proxyContainer, attempt),
      prepare: async (folder) => proxyStart(context, record, folder),
      probes: (state) => target(this.#container, state),
      graceMs: () => record.pod.spec.terminationGracePeriodSeconds * 1000,
      clock: context.clock,
      changed: () => {
        keep(context, record);
        this.#report?.changed();
      },
      tell: (text) => context.tell(record.pod, text),
    });
    this.#handover = new Handover(context, record, this.runner);
  }

  /** Whether it has its configuration and its certificate. */
  get ready(): boolean {
    const serves = this.runner.record.ready || this.#handover.isStarting;
    return this.#runs && serves && this.#isCertified;
  }

  /** Whether it runs with other settings than it would be started with now. */
  get restartDue(): boolean {
    return this.#runs && this.#settingsChanged;
  }

  /** How its replacement by another process stands; undefined where none was ever asked for. */
  get upgrade(): ProxyUpgrade | undefined {
    return this.#handover.state;
  }

  /** How its certificate stands, for a proxy that can ask for it. */
  get certificate(): CertificateState | undefined {
    return this.#record.secrets === true ? this.#services?.identity?.state : undefined;
  }

  /** What it was seen to hold of what it is served; undefined while that is not known. */
  get proof(): Proof {
    return this.certificate && this.#services?.identity?.proof;
  }

  /** Before its first start in a Pod's network: gives it what it needs of the machine, and asks how it is to be started. */
  async claim(): Promise<void> {
    const { pod, baseId } = this.#record;
    const { baseIds, layout } = this.#context;
    const owner = layout.pod(pod.metadata.uid).folder;
    if (baseId === undefined || !baseIds.holds(baseId, owner)) this.#record.baseId = baseIds.allocate(owner);
    await this.#askSettings();
  }

  /**
   * Has it served by another control plane, once that answers; its process goes on with what it holds.
   * @throws WeftError `Unavailable` when it does not answer: then the one before stays.
   */
  async follow(upstream: NonNullable<ProxyRecord["upstream"]>): Promise<void> {
    const { pod, role, address, ipv6 = false } = this.#record;
    const { options, xds, clock, logger } = this.#context;
    if (role === "none") return;
    const node = proxyNode({ pod, role, address, ipv6, agent: options });
    const plane = xds({ ...this.#record, upstream });
    const settings = await fetchSettings(plane, node, clock);
    const before = this.#record.upstream?.revision ?? options.revision;
    this.#record.upstream = upstream;
    this.#record.settings = settings;
    this.#services?.relay.move(plane);
    const { name, namespace } = pod.metadata;
    logger.info("a proxy follows another revision", { pod: name, namespace, before, revision: upstream.revision });
  }

  /** Has it served, unless it is already. @param fresh whether its Pod's network is new. */
  async serve(fresh: boolean): Promise<void> {
    this.#services ??= await openServices(this.#context, this.#record);
    this.#report ??= this.#reported(this.#services);
    if (fresh) await awaitNames(this.#context, this.#record);
  }

  /** Starts it, or starts it again where it should run and does not. Returns milliseconds until this is to be called again. */
  async run(): Promise<number | undefined> {
    this.#restartFresh();
    const turn = await this.#handover.step();
    const waits = [turn.again, turn.holds ? undefined : await this.runner.run()].filter((wait) => wait !== undefined);
    return waits.length === 0 ? undefined : Math.min(...waits);
  }

  /** Asks its processes to end; after the grace they are killed. */
  stop(graceMs: number): void {
    this.runner.stop(graceMs);
    this.#handover.stop(graceMs === 0);
  }

  /** For a proxy that is to end: kills in time, starts nothing. Returns milliseconds until it is to be called again. */
  wind(): number | undefined {
    const again = this.runner.wind();
    const { kind } = this.runner.state;
    if (kind !== "running" && kind !== "starting") this.#handover.stop(true);
    return again ?? (this.#handover.lives ? endingMs : undefined);
  }

  /** Whether one of its processes is there. */
  get lives(): boolean {
    const { kind } = this.runner.state;
    return kind === "running" || kind === "starting" || this.#handover.lives;
  }

  /** Has the control plane give it a configuration by which it takes plain text beside mutual TLS, or the one that policies ask for. */
  beLenient(lenient: boolean): void {
    this.#services?.relay.say(lenient ? { [lenientKey]: "true" } : {});
  }

  /** Whether it has taken a configuration by which all of its ports take plain text. */
  async takesPlainText(): Promise<boolean> {
    if (!this.#runs) return true;
    return takesPlainText(this.#context.site(this.#record.pod).network);
  }

  /** How often peers began to speak mutual TLS to it; undefined where it does not say. */
  async handshakes(): Promise<number | undefined> {
    return this.#runs ? handshakes(this.#context.site(this.#record.pod).network) : undefined;
  }

  /** Makes it tell its peers to go: listeners, those of others' calls unless told, close once their connections have ended. */
  async drain(which: "inbound" | "all" = "inbound"): Promise<void> {
    if (!this.#runs) return;
    const { pod } = this.#record;
    this.#drainingSince ??= this.#context.clock.now();
    this.#report?.changed();
    try {
      await drainProxy(this.#context.site(pod).network, which);
    } catch (error) {
      const about = { pod: pod.metadata.name, error: messageOf(error) };
      this.#context.logger.warn("a proxy could not be drained", about);
    }
  }

  /** Serves it no more; its process goes on. */
  async close(): Promise<void> {
    const services = this.#services;
    this.#services = undefined;
    this.#report?.[Symbol.dispose]();
    this.#report = undefined;
    await services?.socket[Symbol.asyncDispose]();
  }

  /** Lets go of it; its process goes on. */
  async [Symbol.asyncDispose](): Promise<void> {
    this.runner[Symbol.dispose]();
    await this.close();
  }

  /** Has the control plane told how it stands. */
  #reported(services: ProxyServices): PodReport {
    return reportPod(this.#context, this.#record, services, {
      runner: this.runner,
      ready: () => this.ready,
      certificate: () => this.certificate,
      drainingSince: () => this.#drainingSince,
    });
  }

  get #runs(): boolean {
    return this.runner.state.kind === "running";
  }

  /** The container of that name in the Pod's specification, such as a gateway's, or one that stands beside them. */
  get #container(): Container {
    const own = this.#record.pod.spec.containers.find(({ name }) => name === proxyContainer);
    return own ? { readinessProbe: proxyReadiness, ...own } : sidecarContainer;
  }

  /** Whether it has its certificate, or has had it: a new agent has none to begin with. */
  get #isCertified(): boolean {
    const { certificate } = this;
    return certificate === undefined || certificate.phase !== "Waiting" || speaksMutualTls(this.#record.pod);
  }

  get #settingsChanged(): boolean {
    const { settings, startedWith } = this.#record;
    return !startsAlike(settings, startedWith);
  }

  /** How it is to be started; while the control plane is away it is started as last heard, else as without settings. */
  async #askSettings(): Promise<void> {
    const { pod, role, address, ipv6 = false } = this.#record;
    if (role === "none") return;
    const { options, xds, logger, clock } = this.#context;
    const node = proxyNode({ pod, role, address, ipv6, agent: options });
    try {
      this.#record.settings = await fetchSettings(xds(this.#record), node, clock);
    } catch (error) {
      logger.debug("a proxy's settings are not known yet", { pod: pod.metadata.name, error: messageOf(error) });
    }
  }

  /** A proxy that has not been ready yet, and so serves nothing, is started anew when its settings change. */
  #restartFresh(): void {
    const { record } = this.runner;
    if (record.ready) this.#record.served = true;
    const serves = !this.#runs || this.#record.served === true;
    if (!serves && record.killAt === undefined && this.#settingsChanged) this.runner.stop(0);
  }
}

import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { askedOf, envoyAnnotation, type ProxyUpgrade, renewAnnotation } from "#api/kubernetes/proxy-upgrade.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { signalProcess } from "#runtime/identity.ts";
import { killProcess, processState, type ProcessState, startProcess } from "#runtime/process.ts";
import type { ContainerRunner } from "../container-runner.ts";
import { proxyContainer } from "../layout.ts";
import { keep, type ProxyContext } from "../node-context.ts";
import { servingEpoch } from "../proxy-admin.ts";
import { proxySpec } from "../proxy-start.ts";
import { parentSeconds, removeProxyFiles } from "../proxy.ts";
import type { ProxyRecord } from "../records.ts";
import { heldBy } from "../traffic/open-connections.ts";
import { proveHeadroom } from "./headroom.ts";
import type { KnownProgram } from "./programs.ts";
import type { HandoverRecord } from "./record.ts";

/** How soon a process that begins is asked again whether it serves, and one that drains what it still has. */
const [startingMs, drainingMs] = [300, 1000];
/** How long a process may take until it serves. */
const startLimitMs = 60_000;
/** How long after its time the process before may take to end. */
const parentGraceMs = 10_000;
/** How soon what stood in the way is looked at again. */
const refusedMs = 10_000;
/** Characters of a log that are told. */
const mostLog = 600;

/** How a turn went. */
export interface HandoverTurn {
  /** Whether nothing else may be done with the proxy's process now. */
  readonly holds: boolean;
  /** Milliseconds until another turn is wanted. */
  readonly again?: number;
}

const nothing: HandoverTurn = { holds: false };

/**
 * Replaces the process of a proxy by another one that takes over its listeners, by Envoy's hot restart: the new one begins beside the
 * old one, which then lets its connections end and ends itself. Each turn goes as far as it can without waiting; where it stands is
 * in the record, so that another agent goes on with it.
 */
export class Handover {
  readonly #context: ProxyContext;
  readonly #record: ProxyRecord;
  readonly #runner: ContainerRunner;
  /** What stood in the way is not looked at again before this time. */
  #refusedUntil = 0;

  constructor(context: ProxyContext, record: ProxyRecord, runner: ContainerRunner) {
    this.#context = context;
    this.#record = record;
    this.#runner = runner;
  }

  /** Whether the new process does not serve yet: the old one does, though its probes are answered by neither. */
  get isStarting(): boolean {
    const { handover } = this.#record;
    return handover !== undefined && handover.served === undefined;
  }

  /** How the proxy's replacement stands; undefined where none was ever asked for. */
  get state(): ProxyUpgrade | undefined {
    const { handover, upgrade } = this.#record;
    if (handover === undefined) return upgrade;
    const { asked, before, program, served, since, connections } = handover;
    if (served === undefined) return { phase: "Starting", asked, serves: before };
    const serves = { asked, serves: program.version, before, tookMs: served - since };
    return { phase: "Draining", ...serves, ...(connections !== undefined && { connections }) };
  }

  /** One turn. */
  async step(): Promise<HandoverTurn> {
    const { handover } = this.#record;
    if (handover === undefined) return this.#begin();
    if (handover.failed !== undefined) return this.#giveUp(handover, handover.failed);
    return handover.served === undefined ? this.#await(handover) : this.#drain(handover);
  }

  /** Asks that process to end that is not the runner's, and kills it without grace where that has passed. */
  stop(kill: boolean): void {
    const other = this.#other;
    if (other === undefined) return;
    const state = processState(this.#folder(other));
    if (state.kind !== "running") return;
    if (kill) killProcess(this.#folder(other));
    else signalProcess(state.identity, "SIGTERM");
  }

  /** Whether a process beside the runner's is still there. */
  get lives(): boolean {
    return this.#other !== undefined && isThere(processState(this.#folder(this.#other)));
  }

  get #other(): number | undefined {
    const { handover } = this.#record;
    return handover && (handover.served === undefined ? handover.to : handover.from);
  }

  #folder(attempt: number): string {
    return this.#context.layout.pod(this.#record.pod.metadata.uid).attempt(proxyContainer, attempt);
  }

  /** Begins where something else is asked for than what runs, and where it can be had. */
  async #begin(): Promise<HandoverTurn> {
    const { record } = this.#runner;
    const { annotations = {} } = this.#record.pod.metadata;
    const asked = askedOf(annotations);
    const { state } = this.#runner;
    if (asked === undefined || state.kind !== "running" || !record.ready || record.killAt !== undefined) return nothing;
    const { upgrade, program, renewed = "" } = this.#record;
    if (upgrade?.asked === asked && upgrade.phase === "Failed") return nothing;
    const left = this.#refusedUntil - this.#context.clock.monotonic();
    if (upgrade?.asked === asked && upgrade.phase === "Refused" && left > 0) return { holds: false, again: left };
    let serves = "unknown";
    try {
      const running = await this.#context.envoys.describe(program?.path ?? this.#context.envoy);
      serves = running.version;
      const version = annotations[envoyAnnotation] ?? running.version;
      const renew = annotations[renewAnnotation] ?? "";
      if (version === running.version && (renew === "" || renew === renewed)) {
        this.#settled(asked, running.version);
        return nothing;
      }
      const wanted = version === running.version ? running : await this.#context.envoys.find(version);
      prove(running, wanted);
      proveHeadroom(state.identity.pid);
      await this.#start({ asked, program: wanted, before: running.version });
    } catch (error) {
      this.#refuse(asked, serves, messageOf(error));
    }
    return { holds: false, again: startingMs };
  }

  /** What is asked for is what runs. */
  #settled(asked: string, version: string): void {
    const { upgrade } = this.#record;
    if (upgrade?.asked === asked && upgrade.phase === "Upgraded") return;
    this.#tell({ phase: "Upgraded", asked, serves: version });
  }

  #refuse(asked: string, serves: string, problem: string): void {
    const { upgrade, handover } = this.#record;
    this.#refusedUntil = this.#context.clock.monotonic() + refusedMs;
    if (handover !== undefined) return;
    const text = problem.slice(0, mostLog);
    if (upgrade?.asked === asked && upgrade.phase === "Refused" && upgrade.problem === text) return;
    this.#tell({ phase: "Refused", asked, serves, problem: text });
  }

  async #start(what: Pick<HandoverRecord, "asked" | "program" | "before" | "heals">): Promise<void> {
    const { settings, epoch = 0, baseId } = this.#record;
    const from = this.#runner.record.attempt;
    const { version, path, sha256 } = what.program;
    const handover: HandoverRecord = {
      ...what,
      program: { version, path, sha256 },
      from,
      to: from + 1,
      epoch: epoch + 1,
      since: this.#context.clock.now(),
      ...(settings && { settings }),
    };
    if (baseId === undefined) return;
    const spec = await this.#spec(handover);
    // On disk before the process exists, so that an agent that is killed here finds it again.
    this.#record.handover = handover;
    keep(this.#context, this.#record);
    await startProcess(spec, this.#context.clock);
  }

  async #spec({ to, program: { path }, epoch, settings }: HandoverRecord) {
    const { options } = this.#context;
    const wanted = settings?.config.concurrency ?? options.envoy.concurrency;
    const before = this.#record.workers ?? wanted;
    // Where there are fewer, connections that wait at the sockets of the others are reset; 0 is one for each processor.
    const concurrency = before === 0 ? 0 : wanted === 0 ? 0 : Math.max(before, wanted);
    return proxySpec(this.#context, this.#record, {
      folder: this.#folder(to),
      program: path,
      epoch,
      settings,
      concurrency,
    });
  }

  /** Looks whether the new process serves. */
  async #await(handover: HandoverRecord): Promise<HandoverTurn> {
    const { clock } = this.#context;
    const [before, after] = [this.#runner.state, processState(this.#folder(handover.to))];
    if (before.kind !== "running") return this.#giveUp(handover, "the process before ended meanwhile");
    if (after.kind === "absent") return this.#launch(handover);
    if (!isThere(after)) return this.#giveUp(handover, `it ended${codeOf(after)}: ${this.#log(handover.to)}`);
    const { network } = this.#context.site(this.#record.pod);
    const seen = await servingEpoch(network).catch(() => undefined);
    if (seen?.epoch === handover.epoch && seen.live) {
      this.#take(handover, before.identity.pid);
      return { holds: false, again: drainingMs };
    }
    if (clock.now() - handover.since > startLimitMs)
      return this.#giveUp(handover, `it did not serve within ${startLimitMs / 1000} s: ${this.#log(handover.to)}`);
    return { holds: false, again: startingMs };
  }

  /** Starts what an agent noted and did not live to start. */
  async #launch(handover: HandoverRecord): Promise<HandoverTurn> {
    try {
      await startProcess(await this.#spec(handover), this.#context.clock);
      return { holds: false, again: startingMs };
    } catch (error) {
      return this.#giveUp(handover, messageOf(error));
    }
  }

  /** The new process is the proxy's from now on. */
  #take(handover: HandoverRecord, pid: number): void {
    const { clock, logger, options } = this.#context;
    const record = this.#record;
    handover.served = clock.now();
    handover.connections = heldBy(pid);
    handover.open = handover.connections;
    record.program = handover.program;
    record.epoch = handover.epoch;
    record.renewed = record.pod.metadata.annotations?.[renewAnnotation] ?? record.renewed ?? "";
    if (handover.settings) record.startedWith = handover.settings;
    else delete record.startedWith;
    const wanted = handover.settings?.config.concurrency ?? options.envoy.concurrency;
    record.workers = Math.max(record.workers ?? wanted, wanted);
    const { takeovers = 0 } = this.#runner.record;
    Object.assign(this.#runner.record, {
      attempt: handover.to,
      takeovers: takeovers + 1,
      ready: true,
      started: true,
    });
    delete this.#runner.record.ended;
    keep(this.#context, record);
    const about = { pod: record.pod.metadata.name, before: handover.before, now: handover.program.version };
    logger.info("a proxy was taken over by another process", { ...about, connections: handover.connections });
  }

  /** Looks how the process before lets its connections end. */
  #drain(handover: HandoverRecord): HandoverTurn {
    const { clock } = this.#context;
    const old = processState(this.#folder(handover.from));
    if (isThere(old)) {
      if (old.kind === "running") handover.open = heldBy(old.identity.pid);
      const limit = parentSeconds(handover.settings?.config ?? {}) * 1000 + parentGraceMs;
      // A process that is to be started anew must not find the one before.
      const ended = this.#runner.state.kind !== "running";
      if (ended || clock.now() - (handover.served ?? 0) > limit) killProcess(this.#folder(handover.from));
      return { holds: ended, again: ended ? startingMs : drainingMs };
    }
    const { asked, before, program, since, served = since, connections = 0, open: cut = 0 } = handover;
    const problem = handover.heals ?? (old.kind === "exited" && old.code === 0 ? undefined : `it ended${codeOf(old)}`);
    removeProxyFiles(this.#context.layout.pod(this.#record.pod.metadata.uid).proxy, handover.epoch - 1);
    delete this.#record.handover;
    const seen = { serves: program.version, before, tookMs: served - since, connections, cut };
    const phase = handover.heals === undefined ? "Upgraded" : "Failed";
    this.#tell({ phase, asked, ...seen, ...(problem !== undefined && { problem }) });
    return nothing;
  }

  /** Ends the new process; the old one goes on, and where it lost something to the new one, a process like it takes over. */
  async #giveUp(handover: HandoverRecord, problem: string): Promise<HandoverTurn> {
    const { baseIds, site, envoys } = this.#context;
    const record = this.#record;
    const folder = this.#folder(handover.to);
    if (handover.failed === undefined) {
      handover.failed = problem;
      keep(this.#context, record);
    }
    if (isThere(processState(folder))) {
      killProcess(folder);
      return { holds: true, again: startingMs };
    }
    rmSync(folder, { recursive: true, force: true });
    removeProxyFiles(this.#context.layout.pod(record.pod.metadata.uid).proxy, handover.epoch);
    delete record.handover;
    const { asked, before } = handover;
    this.#tell({ phase: "Failed", asked, serves: before, problem: problem.slice(0, mostLog) });
    if (this.#runner.state.kind !== "running" || record.baseId === undefined) return nothing;
    baseIds.unmark(record.baseId);
    if (handover.heals !== undefined) return nothing;
    const answers = await servingEpoch(site(record.pod).network).then(
      () => true,
      () => false,
    );
    if (answers) return nothing;
    // The new one had taken the administration's port, by which probes are answered: a process like the old one opens it again.
    const program = await envoys.describe(record.program?.path ?? this.#context.envoy);
    await this.#start({ asked, program, before, heals: problem.slice(0, mostLog) });
    return { holds: false, again: startingMs };
  }

  #log(attempt: number): string {
    try {
      return readFileSync(join(this.#folder(attempt), "log"), "utf8")
        .trim()
        .slice(-mostLog);
    } catch {
      return "it said nothing";
    }
  }

  #tell(upgrade: ProxyUpgrade): void {
    const { pod } = this.#record;
    this.#record.upgrade = upgrade;
    keep(this.#context, this.#record);
    const { phase, asked, serves, before, problem, cut = 0 } = upgrade;
    if (phase === "Upgraded" && before === undefined) return;
    const fault = phase !== "Upgraded" || cut > 0;
    const text = fault ? `asked for Envoy ${asked}, ${serves} serves: ${problem ?? `${cut} connections were cut`}` : "";
    const message = fault ? text : `Envoy ${serves} has taken over from ${before ?? "another"}`;
    const reason = `Proxy${phase}`;
    this.#context.tell(pod, { type: fault ? "Warning" : "Normal", reason, message: message.slice(0, 1000) });
  }
}

/** That one may take over from the other. @throws WeftError `FailedPrecondition` where it may not. */
function prove(running: KnownProgram, wanted: KnownProgram): void {
  if (running.handsOver === wanted.handsOver) return;
  const [one, other] = [running, wanted].map(({ version, handsOver }) => `${version} (${handsOver})`);
  throw new WeftError("FailedPrecondition", `Envoy ${one} cannot hand over to ${other}: their protocols differ`);
}

function isThere({ kind }: ProcessState): boolean {
  return kind === "running" || kind === "starting";
}

function codeOf(state: ProcessState): string {
  return state.kind === "exited" ? ` with code ${state.code}` : " and nobody saw how";
}

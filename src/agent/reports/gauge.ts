import { type ProxyReport, reportText, type TrafficRate } from "#api/weft/proxy-report.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { CertificateState } from "../certificates/holder.ts";
import { endpointSummary, type HeldEndpoints, heldEndpoints } from "./endpoints.ts";
import { type AskAdmin, type Figures, figuresOf, isReady, type Requests, versionOf } from "./figures.ts";
import { type Usage, usageOf } from "./usage.ts";

/** How a proxy stands, as who runs it knows without asking it. */
export interface ProxyLook extends Pick<
  ProxyReport,
  "process" | "startedAt" | "restarts" | "lastExit" | "waiting" | "drainingSince"
> {
  /** Whether it has its configuration and its certificate; where that is not known, Envoy is asked. */
  readonly ready?: boolean;
  /** Of its process, where it runs. */
  readonly pid?: number;
  readonly certificate?: CertificateState;
}

/** What was read of one start of a proxy at one time. */
interface Sample {
  /** Tells starts apart. */
  readonly start: string;
  /** On the clock that never runs backwards. */
  readonly at: number;
  readonly figures?: Figures;
  readonly usage?: Usage;
}

/** What an Envoy says, or why it says nothing. */
interface Said {
  readonly figures?: Figures;
  readonly endpoints?: ProxyReport["endpoints"];
  readonly ready?: boolean;
  readonly silent?: string;
}

/** What a gauge is made of. */
export interface GaugeOptions {
  readonly version: string;
  readonly look: () => ProxyLook;
  readonly ask: AskAdmin;
  /** Milliseconds between looks at the endpoints that Envoy holds; 30 seconds unless told. */
  readonly endpointsEveryMs?: number;
  readonly clock: Clock;
}

const defaultEndpointsMs = 30_000;
/** How many times as long as a look at endpoints took nothing is asked. */
const leastRest = 200;

function rateOf(before: Requests, now: Requests, seconds: number): TrafficRate {
  const each = (from: number, to: number): number => Math.round((Math.max(0, to - from) / seconds) * 100) / 100;
  return {
    requestsPerSecond: each(before.all, now.all),
    errorsPerSecond: each(before.failed, now.failed),
  };
}

const none: Requests = { all: 0, failed: 0 };

/** Reads how a proxy stands; rates are over the time since it was read before. */
export class ProxyGauge {
  readonly #options: GaugeOptions;
  #last: Sample | undefined;
  #endpoints:
    | { readonly start: string; readonly summary: ProxyReport["endpoints"]; readonly nextAt: number }
    | undefined;
  #version: { readonly start: string; readonly text: string } | undefined;

  constructor(options: GaugeOptions) {
    this.#options = options;
  }

  /** How it stands now. */
  async read(): Promise<ProxyReport> {
    const { version: agent, look, clock } = this.#options;
    const { pid, certificate, lastExit, waiting, ...standing } = look();
    const said =
      standing.process === "Running" ? await this.#asked(`${pid} ${standing.startedAt}`, standing.ready) : {};
    const usage = pid === undefined ? undefined : usageOf(pid);
    const before = this.#last;
    const now: Sample = {
      start: `${pid} ${standing.startedAt}`,
      at: clock.monotonic(),
      ...(said.figures && { figures: said.figures }),
      ...(usage && { usage }),
    };
    this.#last = now;
    const { phase, notAfter, problem } = certificate ?? {};
    return {
      agent,
      ...(this.#version && { envoy: this.#version.text }),
      ...standing,
      ready: standing.ready ?? said.ready ?? false,
      ...(lastExit && { lastExit: { ...lastExit, reason: reportText(lastExit.reason) } }),
      ...(waiting !== undefined && { waiting: reportText(waiting) }),
      ...(phase && {
        certificate: {
          phase,
          ...(notAfter !== undefined && { notAfter }),
          ...(problem !== undefined && { problem: reportText(problem) }),
        },
      }),
      ...changesOf(before, now),
      ...(said.figures && { inbound: said.figures.counts }),
      ...(said.figures && { holds: { clusters: said.figures.clusters, listeners: said.figures.listeners } }),
      ...(said.endpoints && { endpoints: said.endpoints }),
      ...(said.silent !== undefined && { silent: reportText(said.silent) }),
    };
  }

  /** Asks Envoy anew which endpoints it holds. @throws WeftError `Unavailable` when it does not answer. */
  async endpoints(): Promise<HeldEndpoints> {
    const { ask, look, clock, endpointsEveryMs = defaultEndpointsMs } = this.#options;
    const { pid, startedAt } = look();
    const from = clock.monotonic();
    const held = await heldEndpoints(ask);
    const now = clock.monotonic();
    const nextAt = now + Math.max(endpointsEveryMs, (now - from) * leastRest);
    this.#endpoints = { start: `${pid} ${startedAt}`, summary: endpointSummary(held), nextAt };
    return held;
  }

  /** Which endpoints Envoy holds, as it said last: much is read for that. */
  async #endpointsOf(start: string): Promise<ProxyReport["endpoints"]> {
    const known = this.#endpoints;
    const now = this.#options.clock.monotonic();
    if (known?.start === start && known.nextAt > now) return known.summary;
    try {
      await this.endpoints();
    } catch {
      // The rest is told all the same; this is looked for again in its time.
      const { endpointsEveryMs = defaultEndpointsMs } = this.#options;
      this.#endpoints = { start, summary: undefined, nextAt: now + endpointsEveryMs };
    }
    return this.#endpoints?.summary;
  }

  async #asked(start: string, known: boolean | undefined): Promise<Said> {
    const { ask } = this.#options;
    try {
      if (this.#version?.start !== start) this.#version = { start, text: await versionOf(ask) };
      const figures = await figuresOf(ask);
      const endpoints = await this.#endpointsOf(start);
      return { figures, ...(endpoints && { endpoints }), ...(known === undefined && { ready: await isReady(ask) }) };
    } catch (error) {
      return { silent: messageOf(error) };
    }
  }
}

/** What a proxy used and did between two samples; what it did before the first is not known as a rate. */
function changesOf(before: Sample | undefined, now: Sample): Pick<ProxyReport, "usage" | "traffic"> {
  const known = before?.start === now.start ? before : undefined;
  const seconds = known ? Math.max(0.001, (now.at - known.at) / 1000) : Infinity;
  const { figures, usage } = now;
  const cpuMs = usage && known?.usage ? usage.cpuMs - known.usage.cpuMs : 0;
  return {
    ...(usage && {
      usage: { cpuMillis: Math.max(0, Math.round(cpuMs / seconds)), memoryBytes: usage.memoryBytes },
    }),
    ...(figures && {
      traffic: {
        connections: figures.connections,
        inbound: rateOf(known?.figures?.inbound ?? none, figures.inbound, known?.figures ? seconds : Infinity),
        outbound: rateOf(known?.figures?.outbound ?? none, figures.outbound, known?.figures ? seconds : Infinity),
      },
    }),
  };
}

import type { CertificateState } from "../certificates/holder.ts";
import type { ContainerRunner } from "../container-runner.ts";
import { InsideAgent } from "../inside-agent.ts";
import type { ProxyContext } from "../node-context.ts";
import type { ProxyServices } from "../pod-services.ts";
import { type ProxyRecord, restartsOf } from "../records.ts";
import { asking } from "./asking.ts";
import { exitReason } from "./exit.ts";
import { proxyContainer } from "../layout.ts";
import { logEnd } from "./log.ts";
import type { ProxyLook } from "./gauge.ts";
import { ProxyReporter } from "./reporter.ts";

/** What a proxy's own parts know of it. */
export interface ProxyParts {
  readonly runner: ContainerRunner;
  readonly ready: () => boolean;
  readonly certificate: () => CertificateState | undefined;
  readonly drainingSince: () => number | undefined;
}

/** How a proxy stands that a runner runs. */
function lookOf({ runner, ready, certificate, drainingSince }: ProxyParts): ProxyLook {
  const { record, state } = runner;
  const held = certificate();
  const draining = drainingSince();
  const exit = state.kind === "running" ? record.last : (record.ended ?? record.last);
  const runs = state.kind === "running";
  const begins = state.kind === "starting" || state.kind === "absent";
  return {
    process: runs ? "Running" : begins ? "Starting" : "Waiting",
    ...(runs && { pid: state.identity.pid, startedAt: state.startedAt }),
    ready: ready(),
    restarts: restartsOf(record),
    ...(exit && { lastExit: { reason: exitReason(exit.code), at: exit.finishedAt } }),
    ...(!runs && record.waiting && { waiting: `${record.waiting.reason}: ${record.waiting.message}` }),
    ...(runs && draining !== undefined && { drainingSince: draining }),
    ...(held && { certificate: held }),
  };
}

/** A Pod's proxy is told of until this is disposed. */
export interface PodReport extends Disposable {
  /** How it stands has changed. */
  changed(): void;
}

/** Tells the control plane how a Pod's proxy stands. */
export function reportPod(
  context: ProxyContext,
  { pod }: ProxyRecord,
  { node, relay }: ProxyServices,
  parts: ProxyParts,
): PodReport {
  const { options, clock, logger } = context;
  const agent = new InsideAgent(context.site(pod).network);
  const reporter = new ProxyReporter({
    node: { id: node, cluster: options.cluster, namespace: pod.metadata.namespace ?? "" },
    way: relay,
    version: options.version,
    look: () => lookOf(parts),
    ask: asking(agent),
    log: async (lines, previous) => {
      const attempt = parts.runner.record.attempt - (previous ? 1 : 0);
      const { uid } = pod.metadata;
      return attempt < 0 ? "" : logEnd(context.layout.pod(uid).attempt(proxyContainer, attempt), lines, clock);
    },
    ...(options.reportEveryMs !== undefined && { everyMs: options.reportEveryMs }),
    clock,
    logger,
  });
  return {
    changed: () => reporter.changed(),
    [Symbol.dispose]: () => {
      reporter[Symbol.dispose]();
      agent.destroy();
    },
  };
}

import type { InboundCounts } from "#api/weft/proxy-report.ts";
import { readable } from "#base/readable.ts";
import type { TypeState } from "#xds/port.ts";
import type { ContainerWord } from "../identity/pod-places.ts";
import type { EndpointVerdict, StaleCluster } from "./endpoint-check.ts";
import { phaseOf, type ProxyPhase } from "./phase.ts";
import type { HeldReport } from "./reports.ts";

/** Requests in one direction. */
export interface ShownRate {
  readonly requestsPerSecond: number;
  readonly errorsPerSecond: number;
}

/** What is known of a proxy's process. */
interface ProcessWord extends ContainerWord {
  readonly startedAt?: string;
  /** Why it does not run. */
  readonly waiting?: string;
}

/** The part of a proxy's status that agents tell, with what the control plane knows of the same. Times are RFC 3339. */
export interface ReportedStatus {
  readonly phase: ProxyPhase;
  /** Whether it has a stream of configuration. */
  readonly connected: boolean;
  /** Who tells, and when it was told last; `live` while the agent is there. */
  readonly agent?: { readonly version: string; readonly reportedAt: string; readonly live: boolean };
  readonly process?: ProcessWord;
  readonly drainingSince?: string;
  /** Why Envoy does not say how it stands. */
  readonly silent?: string;
  readonly usage?: { readonly cpuMillis: number; readonly memoryBytes: number };
  readonly traffic?: { readonly connections: number; readonly inbound: ShownRate; readonly outbound: ShownRate };
  /** What it has counted of inbound requests, in all, and how much configuration it refused. */
  readonly inbound?: Omit<InboundCounts, "within"> & { readonly timed: number };
  /** What Envoy holds. */
  readonly configuration?: { readonly clusters: number; readonly listeners: number };
  /** When its certificate ends. */
  readonly certificateNotAfter?: string;
  /** Since when it has not acknowledged the oldest change that it has not, or refuses one. */
  readonly unacknowledgedSince?: string;
}

/** What came of comparing the endpoints that a proxy holds with those that it is to hold. */
export interface EndpointStatus {
  readonly state: EndpointVerdict["state"];
  /** Clusters with endpoints that Envoy holds, and addresses of all. */
  readonly clusters: number;
  readonly addresses: number;
  /** Some of those that have long differed. */
  readonly stale?: readonly (Omit<StaleCluster, "since"> & { readonly since: string })[];
}

/** Addresses that are shown of a cluster. */
const mostShown = 20;

/** What came of comparing endpoints, for people and programs. */
export function endpointStatus({ report }: HeldReport, { state, stale }: EndpointVerdict): EndpointStatus {
  const { clusters = 0, addresses = 0 } = report.endpoints ?? {};
  const told = stale.map(({ cluster, since, surplus, missing }) => ({
    cluster,
    since: time(since),
    ...(surplus && { surplus: surplus.slice(0, mostShown).map(readable) }),
    ...(missing && { missing: missing.slice(0, mostShown) }),
  }));
  return { state, clusters, addresses, ...(told.length > 0 && { stale: told }) };
}

function time(ms: number): string {
  // What agents say need not be a time that there is.
  return new Date(Math.min(ms, 8.64e15)).toISOString();
}

function processOf({ report }: HeldReport, container: ContainerWord | undefined): ProcessWord {
  const { startedAt, restarts, lastExit, waiting } = report;
  const exit = lastExit && { reason: readable(lastExit.reason), at: time(lastExit.at) };
  // A sidecar's own agent ends with it: its container tells of those before.
  const last = exit ?? container?.lastExit;
  return {
    ...(startedAt !== undefined && { startedAt: time(startedAt) }),
    restarts: Math.max(restarts, container?.restarts ?? 0),
    ...(last && { lastExit: last }),
    ...(waiting !== undefined && { waiting: readable(waiting) }),
  };
}

function inboundOf({ all, failed, refused, within }: InboundCounts): NonNullable<ReportedStatus["inbound"]> {
  return { all, failed, refused, timed: Math.max(0, ...Object.values(within)) };
}

function oldestUnacknowledged(types: Readonly<Record<string, TypeState>>): number | undefined {
  const behind = Object.values(types).filter(({ state }) => state === "STALE" || state === "NACKED");
  return behind.length === 0 ? undefined : Math.min(...behind.map(({ since }) => since));
}

/**
 * How a proxy stands by its agent's word and by its own stream.
 * @param types where it stands with each type; undefined where it is not connected.
 * @param container what its Pod says of its container, where it is one.
 */
export function reportedStatus(
  held: HeldReport | undefined,
  types: Readonly<Record<string, TypeState>> | undefined,
  container: ContainerWord | undefined,
): ReportedStatus {
  const phase = phaseOf(held, types !== undefined);
  const oldest = oldestUnacknowledged(types ?? {});
  const standing = {
    phase,
    connected: types !== undefined,
    ...(oldest !== undefined && { unacknowledgedSince: time(oldest) }),
  };
  if (!held) return { ...standing, ...(container && { process: container }) };
  const { agent, drainingSince, silent, usage, traffic, inbound, holds, certificate } = held.report;
  return {
    ...standing,
    agent: { version: readable(agent), reportedAt: time(held.at), live: held.live },
    process: processOf(held, container),
    ...(drainingSince !== undefined && { drainingSince: time(drainingSince) }),
    ...(silent !== undefined && { silent: readable(silent) }),
    ...(usage && { usage }),
    ...(traffic && { traffic }),
    ...(inbound && { inbound: inboundOf(inbound) }),
    ...(holds && { configuration: holds }),
    ...(certificate?.notAfter !== undefined && { certificateNotAfter: time(certificate.notAfter) }),
  };
}

import { mostMissing, type RootRotation, type RootRotationStatus } from "#api/weft/root-rotation.ts";
import { formatAge, parseDuration } from "#base/duration.ts";
import { timestamp } from "#base/timestamp.ts";
import { readCertificates } from "#identity/authority.ts";
import { rootId } from "#identity/path.ts";
import { objection, needsProof, type RotationPlace, type StagedAuthority } from "#identity/rotation.ts";
import { condition, type Readiness } from "#status/ready.ts";
import { type CertifiedProxy, isSkipped } from "./proven.ts";

/** Who has proven what the next step needs. */
export interface Tally {
  readonly total: number;
  readonly proven: number;
  readonly skipped: number;
  /** All that have not, in order of their names. */
  readonly missing: readonly { readonly proxy: string; readonly reason: string }[];
}

/** Who is counted. */
export interface Counted {
  readonly proxies: Iterable<CertifiedProxy>;
  /** Clusters whose Pods are not known. */
  readonly unread: readonly string[];
  /** Proxies that are not waited for. */
  readonly skip: readonly string[];
  /** When everybody had heard of the stage, in milliseconds since the epoch: who came later has got nothing older. */
  readonly heard: number;
}

/** Counts who has proven what the next step needs. */
export function tallyOf({ proxies, unread, skip, heard }: Counted, place: RotationPlace): Tally {
  const { plan, stage, goal } = place;
  const missing = unread.map((proxy) => ({ proxy, reason: "the Pods of this cluster could not be read yet" }));
  const [counted, asks] = [{ total: 0, skipped: 0, proven: 0 }, needsProof(plan, stage, goal)];
  for (const { name, held, unknown, created } of proxies) {
    counted.total += 1;
    const reason = held ? objection(held, place) : asks && created <= heard ? unknown : undefined;
    if (reason === undefined) counted.proven += 1;
    else if (isSkipped(name, skip)) counted.skipped += 1;
    else missing.push({ proxy: name, reason });
  }
  return { ...counted, missing: missing.toSorted((a, b) => (a.proxy < b.proxy ? -1 : 1)) };
}

/** How a rotation came to stand. */
export interface RotationReport {
  readonly phase: NonNullable<RootRotationStatus["phase"]>;
  /** The Secret of the authority, as NAMESPACE/NAME. */
  readonly secret?: string;
  readonly place?: RotationPlace;
  readonly tally?: Tally;
  /** Whether it has been taken on. */
  readonly accepted: Readiness;
  /** Whether it goes on by itself. */
  readonly progressing: Readiness;
}

function rootMember({ files, signer }: StagedAuthority): NonNullable<RootRotationStatus["old"]> {
  const root = readCertificates(files.roots, "root-cert.pem").find((each) => rootId(each) === signer);
  const notAfter = timestamp(root?.validToDate.getTime() ?? 0);
  return { root: signer, subject: root?.subject.replaceAll("\n", ", ") ?? "", notAfter };
}

function completion(phase: RotationReport["phase"], { message }: Readiness): Readiness {
  if (phase === "Completed") return { ready: true, reason: "Rotated", message };
  return { ready: false, reason: phase === "Aborted" ? "Aborted" : "InProgress", message: "" };
}

/**
 * The status of a rotation.
 * @param now milliseconds since the epoch.
 */
export function rotationStatus(rotation: RootRotation, report: RotationReport, now: number): RootRotationStatus {
  const { status: before = {}, metadata } = rotation;
  const { phase, secret, place, tally, accepted, progressing } = report;
  const over = phase === "Completed" || phase === "Aborted";
  const { stage = before.stage } = place ?? {};
  const since = stage === before.stage ? before.stageSince : timestamp(now);
  const aspects = { Accepted: accepted, Progressing: progressing, Complete: completion(phase, progressing) };
  const conditions = Object.entries(aspects).map(([type, each]) => condition(type, before.conditions, each, now));
  return {
    ...before,
    phase,
    ...(secret !== undefined && { secret }),
    ...(place && { old: rootMember(place.plan.BothTrusted), new: rootMember(place.plan.NewIssues) }),
    ...(place && { startedAt: before.startedAt ?? timestamp(now) }),
    ...(stage && since && { stage, stageSince: since }),
    ...(tally && { proxies: { ...tally, missing: tally.missing.slice(0, mostMissing) } }),
    ...(over && { finishedAt: before.finishedAt ?? timestamp(now) }),
    conditions,
    observedGeneration: metadata.generation,
  };
}

/** Milliseconds that a stage may wait before it is said to stall. */
const stalledMs = 600_000;
/** Proxies that a message names. */
const mostNamed = 3;

function waitingFor({ missing, total }: Tally): string {
  const named = missing.slice(0, mostNamed).map(({ proxy, reason }) => `${proxy} ${reason}`);
  const more = missing.length > mostNamed ? `; and ${missing.length - mostNamed} more` : "";
  return `${missing.length} of ${total} proxies have not proven what the next step needs: ${named.join("; ")}${more}`;
}

/**
 * How a rotation goes on that stays in its stage.
 * @param settling everybody has proven what is needed, not long enough ago.
 * @param now milliseconds since the epoch.
 */
export function staying(rotation: RootRotation, tally: Tally, settling: boolean, now: number): Readiness {
  const { spec, status } = rotation;
  if (tally.missing.length === 0) {
    if (settling)
      return { ready: true, reason: "Settling", message: "all proxies have proven what the next step needs" };
    return { ready: true, reason: "Held", message: `it is held at ${status?.stage ?? ""} by spec.holdAt` };
  }
  const limit = spec.stalledAfter === undefined ? stalledMs : parseDuration(spec.stalledAfter);
  const waited = status?.stageSince === undefined ? 0 : now - Date.parse(status.stageSince);
  const message = waitingFor(tally);
  if (waited < limit) return { ready: true, reason: "WaitingForProof", message };
  const choices = "it goes on waiting: abort it, or name them in spec.skip";
  return { ready: false, reason: "Stalled", message: `for ${formatAge(limit)} and longer ${message}; ${choices}` };
}

/** Whether a rotation is at its end. */
export function isOver({ status }: RootRotation): boolean {
  return status?.phase === "Completed" || status?.phase === "Aborted";
}

/** What reaching a goal is called. */
export function finished(place: RotationPlace): Pick<RotationReport, "phase" | "progressing"> {
  const [phase, message] =
    place.goal === "new"
      ? (["Completed", "the new authority signs, and nobody trusts the old root"] as const)
      : (["Aborted", "the old authority signs, and nobody trusts the new root"] as const);
  return { phase, progressing: { ready: false, reason: phase, message } };
}

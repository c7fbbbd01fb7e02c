import type { ProxyUpgrade } from "#api/kubernetes/proxy-upgrade.ts";
import {
  mostSidecars,
  type SidecarUpgrade,
  type SidecarUpgradeSpec,
  type SidecarUpgradeStatus,
  type UpgradedSidecar,
} from "#api/weft/sidecar-upgrade.ts";
import { parseDuration } from "#base/duration.ts";
import { type SeenSidecar, shareOf, wavesOf } from "./selection.ts";

/** What is known when an upgrade is looked at. */
export interface PlanFacts {
  /** The sidecars that its selector means now. */
  readonly seen: readonly SeenSidecar[];
  /** Sidecars that another upgrade has under way, by UID, with its name. */
  readonly taken: ReadonlyMap<string, string>;
  /** Clusters that cannot be asked now: what is not seen of them may be there. */
  readonly away: ReadonlySet<string>;
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Why the next wave may not begin, by what was measured of upgraded sidecars. */
  readonly gate: (upgrade: SidecarUpgrade) => GateAnswer;
}

/** What a gate says. */
export interface GateAnswer {
  readonly opens: boolean;
  /** Whether it closes for what it saw, and not because it saw nothing. */
  readonly failed: boolean;
  readonly why: string;
}

/** A sidecar is to be asked for something else. */
export interface Ask {
  readonly sidecar: UpgradedSidecar;
  readonly envoy?: string;
  readonly renew?: string;
}

/** What follows. */
export interface Plan {
  readonly status: SidecarUpgradeStatus;
  readonly asks: readonly Ask[];
}

const usualWaves: readonly number[] = [10, 50, 100];
const usualPause = "10s";
const usualInFlight = 5;

type Phase = NonNullable<SidecarUpgradeStatus["phase"]>;

/** Phases in which an upgrade has its sidecars to itself. */
export const heldIn: ReadonlySet<string> = new Set<Phase>(["Running", "Paused", "RollingBack"]);

const inFlight: ReadonlySet<string> = new Set(["Asked", "Starting", "Draining"]);

function askedBy({ envoy, renew }: SidecarUpgradeSpec): string {
  return renew === undefined ? (envoy ?? "") : `${envoy ?? ""}+${renew}`;
}

const refused = (message: string): SidecarUpgradeStatus => ({ phase: "Refused", message });

/** The first look: who is meant, and whether that may be. */
function begin({ spec }: SidecarUpgrade, { seen, taken, away }: PlanFacts): SidecarUpgradeStatus {
  const { selector = {}, strategy = {} } = spec;
  const chosen = shareOf(seen, selector.percentage ?? 100);
  if (away.size > 0) return { phase: "Paused", message: `these clusters cannot be asked now: ${[...away].join(", ")}` };
  if (chosen.length === 0) return refused("spec.selector: no sidecar that a node's agent runs is meant");
  if (chosen.length > mostSidecars)
    return refused(`spec.selector: ${chosen.length} sidecars are meant, and one upgrade has at most ${mostSidecars}`);
  const overlap = chosen.flatMap(({ uid }) => taken.get(uid) ?? [])[0];
  if (overlap !== undefined) return refused(`spec.selector: the upgrade ${overlap} has sidecars of these under way`);
  const waves = wavesOf(chosen.length, strategy.waves ?? usualWaves);
  const sidecars = chosen.map(({ cluster, namespace, pod, uid, asked }, index): UpgradedSidecar => {
    const one = { cluster, namespace, pod, uid, wave: waves[index] ?? 1, phase: "Waiting" } as const;
    return asked === undefined ? one : { ...one, asked };
  });
  return { phase: "Running", wave: 1, done: 0, total: sidecars.length, sidecars };
}

/** Whoever asked and did not live to note it has asked, and the other way round. */
function asksAsNoted(sidecar: UpgradedSidecar, asks: boolean): UpgradedSidecar {
  if (asks && sidecar.phase === "Waiting") return { ...sidecar, phase: "Asked" };
  return !asks && sidecar.phase === "Asked" ? { ...sidecar, phase: "Waiting" } : sidecar;
}

function observed(sidecar: UpgradedSidecar, asked: string, upgrade: ProxyUpgrade | undefined): UpgradedSidecar {
  if (sidecar.phase === "Waiting" || upgrade?.asked !== asked) return sidecar;
  const { phase, serves, before = serves, tookMs, connections, cut, problem } = upgrade;
  const { problem: _told, ...known } = sidecar;
  return {
    ...known,
    phase,
    before: sidecar.before ?? before,
    after: serves,
    ...(tookMs !== undefined && { tookMs }),
    ...(connections !== undefined && { connections }),
    ...(cut !== undefined && { cut }),
    ...(problem !== undefined && { problem }),
  };
}

/** How the sidecars stand by what their agents say. */
function observe({ spec, status = {} }: SidecarUpgrade, { seen, away }: PlanFacts): readonly UpgradedSidecar[] {
  const byUid = new Map(seen.map((each) => [each.uid, each]));
  return (status.sidecars ?? []).map((sidecar) => {
    const now = byUid.get(sidecar.uid);
    if (now) return observed(asksAsNoted(sidecar, now.asked === askedBy(spec)), askedBy(spec), now.upgrade);
    return away.has(sidecar.cluster) ? sidecar : { ...sidecar, phase: "Gone" };
  });
}

/** Whether it is the hour in which waves may begin. */
function inWindow({ strategy: { window } = {} }: SidecarUpgradeSpec, now: number): boolean {
  if (!window) return true;
  const time = new Date(now).toISOString().slice(11, 16);
  const { from, to } = window;
  return from <= to ? time >= from && time < to : time >= from || time < to;
}

/** Asks of those that wait, as many as may be under way. */
function asksOf(spec: SidecarUpgradeSpec, sidecars: readonly UpgradedSidecar[], wave: number): readonly Ask[] {
  const { envoy, renew, strategy: { maxInFlight = usualInFlight } = {} } = spec;
  const free = maxInFlight - sidecars.filter(({ phase = "" }) => inFlight.has(phase)).length;
  const waiting = sidecars.filter((each) => each.phase === "Waiting" && (each.wave ?? 1) <= wave);
  return waiting
    .slice(0, Math.max(free, 0))
    .map((sidecar) => ({ sidecar, ...(envoy !== undefined && { envoy }), ...(renew !== undefined && { renew }) }));
}

function withAsked(sidecars: readonly UpgradedSidecar[], asks: readonly Ask[]): readonly UpgradedSidecar[] {
  const asked = new Set(asks.map(({ sidecar }) => sidecar.uid));
  return sidecars.map((each) => (asked.has(each.uid) ? { ...each, phase: "Asked" } : each));
}

/** Why no more may begin now; undefined where it may. */
function heldBack({ spec }: SidecarUpgrade, wave: number, now: number): string | undefined {
  const { strategy: { approval } = {}, approvedWaves = 0, paused } = spec;
  if (paused === true) return "spec.paused is set";
  if (approval === "Manual" && approvedWaves < wave) return `wave ${wave} waits until spec.approvedWaves is ${wave}`;
  if (!inWindow(spec, now)) return "it is not the hour of spec.strategy.window";
  return undefined;
}

type Step = Omit<SidecarUpgradeStatus, "sidecars" | "done" | "total"> & {
  readonly sidecars: readonly UpgradedSidecar[];
  readonly asks: readonly Ask[];
};

/** What brings sidecars that were asked back to what they were. */
function rollBack(upgrade: SidecarUpgrade, facts: PlanFacts, sidecars: readonly UpgradedSidecar[], why: string): Step {
  const byUid = new Map(facts.seen.map((each) => [each.uid, each]));
  const { maxInFlight = usualInFlight } = upgrade.spec.strategy ?? {};
  const changed = sidecars.filter(
    ({ phase, before }) => phase !== "Waiting" && phase !== "Gone" && before !== undefined,
  );
  const due = changed.filter(({ uid, before }) => byUid.get(uid)?.asked !== before);
  const under = changed.filter(({ uid, before }) => {
    const now = byUid.get(uid);
    return now?.asked === before && !(now?.upgrade?.asked === before && now?.upgrade?.phase === "Upgraded");
  });
  const stuck = under.filter(({ uid }) => ["Refused", "Failed"].includes(byUid.get(uid)?.upgrade?.phase ?? ""));
  const asks = due
    .slice(0, Math.max(maxInFlight - under.length, 0))
    .flatMap((sidecar) => (sidecar.before === undefined ? [] : [{ sidecar, envoy: sidecar.before }]));
  // Who was asked a moment ago tells soon what it was.
  const unknown = sidecars.filter(({ phase, before }) => phase === "Asked" && before === undefined);
  const back = new Set(changed.filter((each) => !due.includes(each) && !under.includes(each)).map(({ uid }) => uid));
  const known = sidecars.map((each): UpgradedSidecar => (back.has(each.uid) ? { ...each, phase: "RolledBack" } : each));
  if (due.length + unknown.length === 0 && under.length === stuck.length) {
    const message = stuck.length === 0 ? why : `${why}; ${stuck.length} sidecars could not be brought back`;
    return { phase: "RolledBack", message, sidecars: known, asks: [] };
  }
  return { phase: "RollingBack", message: why, sidecars: known, asks };
}

function failed(upgrade: SidecarUpgrade, facts: PlanFacts, sidecars: readonly UpgradedSidecar[], why: string): Step {
  const { envoy, strategy: { onFailure = "Rollback" } = {} } = upgrade.spec;
  // Settings cannot be brought back by who has only the new ones.
  if (onFailure === "Pause" || envoy === undefined) return { phase: "Paused", message: why, sidecars, asks: [] };
  return rollBack(upgrade, facts, sidecars, why);
}

function advance(upgrade: SidecarUpgrade, facts: PlanFacts): Step {
  const { spec, status = {} } = upgrade;
  const { now } = facts;
  const sidecars = observe(upgrade, facts);
  const { wave = 1, waveSince, message = "" } = status;
  if (status.phase === "RollingBack") return rollBack(upgrade, facts, sidecars, message);
  const bad = sidecars.find(({ phase }) => phase === "Failed" || phase === "Refused");
  if (bad) {
    const why = `${bad.namespace}/${bad.pod} in ${bad.cluster}: ${bad.problem ?? "it was not replaced"}`;
    return failed(upgrade, facts, sidecars, why);
  }
  const left = sidecars.filter(
    (each) => (each.wave ?? 1) <= wave && each.phase !== "Upgraded" && each.phase !== "Gone",
  );
  const begun = { phase: "Running", wave, sidecars, asks: [] } as const;
  if (left.length > 0) {
    const why = heldBack(upgrade, wave, now);
    if (why !== undefined) return { ...begun, phase: "Paused", message: why };
    return { ...begun, asks: asksOf(spec, sidecars, wave) };
  }
  const since = waveSince ?? new Date(now).toISOString();
  const pauseMs = parseDuration(spec.strategy?.pause ?? usualPause);
  const watched = { ...begun, waveSince: since, message: `wave ${wave} is upgraded and watched` };
  if (now - Date.parse(since) < pauseMs) return watched;
  const gate = facts.gate(upgrade);
  if (!gate.opens && gate.failed) return failed(upgrade, facts, sidecars, gate.why);
  if (!gate.opens) return { ...watched, phase: "Paused", message: gate.why };
  const next = sidecars.find((each) => (each.wave ?? 1) > wave);
  if (!next) return { ...begun, phase: "Completed", message: "" };
  return { ...begun, wave: next.wave ?? wave + 1 };
}

/** What an upgrade comes to, and who is to be asked now. Undefined where nothing is left to do. */
export function planned(upgrade: SidecarUpgrade, facts: PlanFacts): Plan | undefined {
  const { status = {}, metadata } = upgrade;
  const { phase } = status;
  if (phase === "Completed" || phase === "RolledBack") return undefined;
  // What was refused is looked at again when it is another one.
  if (phase === "Refused" && status.observedGeneration === metadata.generation) return undefined;
  const observedGeneration = metadata.generation ?? 0;
  if (status.sidecars === undefined || status.sidecars.length === 0)
    return { status: { ...begin(upgrade, facts), observedGeneration }, asks: [] };
  const { asks, sidecars, ...rest } = advance(upgrade, facts);
  const known = rest.phase === "RollingBack" || rest.phase === "RolledBack" ? sidecars : withAsked(sidecars, asks);
  const done = sidecars.filter(({ phase: each }) => each === "Upgraded").length;
  return { status: { ...rest, sidecars: known, done, total: known.length, observedGeneration }, asks };
}

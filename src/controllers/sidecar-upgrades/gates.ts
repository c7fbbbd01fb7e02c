import { renewAnnotation } from "#api/kubernetes/proxy-upgrade.ts";
import type { SidecarUpgrade, UpgradedSidecar } from "#api/weft/sidecar-upgrade.ts";
import { messageOf } from "#base/errors.ts";
import type { GateAnswer } from "./plan.ts";
import { countsOf, type CountSources, type ProxyCounts, quantile, since, timed, total } from "./requests.ts";

/** Sidecars of each kind that are compared; the others are passed over. */
const mostCompared = 50;
/** Requests of each kind of which a P99 says something. */
const leastTimed = 100;

type Part = "upgraded" | "others";

const open: GateAnswer = { opens: true, failed: false, why: "" };
const root = "spec.strategy.gates";

function partOf({ phase }: UpgradedSidecar): Part | undefined {
  if (phase === "Upgraded") return "upgraded";
  return phase === "Waiting" ? "others" : undefined;
}

const percentOf = (part: number, all: number): number => (all === 0 ? 0 : (part / all) * 100);
const shown = (value: number): string => value.toFixed(1);

const closed = (why: string): GateAnswer => ({ opens: false, failed: true, why });

/** Why a P99 is not known: Envoys that were started before bootstraps asked for times count none, whatever they answer. */
function tooFew(who: string, counted: ProxyCounts): string {
  const usual = `${who} answered ${timed(counted)} of ${leastTimed} requests that it takes`;
  if (timed(counted) > 0 || counted.all < leastTimed) return usual;
  return `${who} answered ${counted.all} requests, and their Envoys, which are older than this gate, keep no times: give their Pods the annotation ${renewAnnotation} with a new word, so that they begin anew with today's settings`;
}

/** Compares upgraded sidecars of one upgrade with the others, from when a wave is watched. */
export class Gates {
  readonly #sources: CountSources;
  #watched = "";
  /** Counts by UID when the wave began to be watched, and now. */
  readonly #first = new Map<string, ProxyCounts>();
  readonly #last = new Map<string, ProxyCounts>();
  #problem = "";

  constructor(sources: CountSources) {
    this.#sources = sources;
  }

  /** Reads what was counted, while a wave is watched. */
  async look({ status = {}, spec }: SidecarUpgrade): Promise<void> {
    const { waveSince = "", sidecars = [] } = status;
    if (Object.keys(spec.strategy?.gates ?? {}).length === 0 || waveSince === "") return;
    if (waveSince !== this.#watched) {
      this.#first.clear();
      this.#last.clear();
      this.#problem = "";
      this.#watched = waveSince;
    }
    const parts = (["upgraded", "others"] as const).flatMap((part) =>
      sidecars.filter((each) => partOf(each) === part).slice(0, mostCompared),
    );
    await Promise.all(parts.map(async (each) => this.#read(each)));
  }

  /** Whether the next wave may begin: a gate that closes for what it saw counts more than one that saw nothing. */
  answer(upgrade: SidecarUpgrade): GateAnswer {
    const answers = [this.#errors(upgrade), this.#p99(upgrade), this.#refusals(upgrade)];
    return answers.find(({ failed }) => failed) ?? answers.find(({ opens }) => !opens) ?? open;
  }

  /** The P99 of sidecars that wait, while one is known: the last wave, after which none waits, is compared with it. */
  othersP99({ status: { sidecars = [] } = {} }: SidecarUpgrade): number | undefined {
    const counted = total(this.#counts(sidecars, "others"));
    return timed(counted) < leastTimed ? undefined : quantile(counted, 0.99);
  }

  #errors({ status: { sidecars = [] } = {}, spec }: SidecarUpgrade): GateAnswer {
    const limit = spec.strategy?.gates?.maxErrorPercentMore;
    if (limit === undefined) return open;
    const gate = `${root}.maxErrorPercentMore`;
    const counted = total(this.#counts(sidecars, "upgraded"));
    if (counted.all === 0) return this.#unknown(gate, "upgraded sidecars were asked for nothing");
    const before = total(this.#counts(sidecars, "others"));
    const [own, others] = [percentOf(counted.failed, counted.all), percentOf(before.failed, before.all)];
    if (own - others <= limit) return open;
    return closed(
      `${gate}: upgraded sidecars failed ${shown(own)} percent of ${counted.all} requests, the others ${shown(others)} percent`,
    );
  }

  #p99(upgrade: SidecarUpgrade): GateAnswer {
    const { status: { sidecars = [], othersP99Ms } = {}, spec } = upgrade;
    const limit = spec.strategy?.gates?.maxP99PercentMore;
    if (limit === undefined) return open;
    const gate = `${root}.maxP99PercentMore`;
    const counted = total(this.#counts(sidecars, "upgraded"));
    if (timed(counted) < leastTimed) return this.#unknown(gate, tooFew("upgraded sidecars", counted));
    const others = this.othersP99(upgrade) ?? (this.#waits(sidecars) ? undefined : othersP99Ms);
    if (others === undefined) {
      const theirs = total(this.#counts(sidecars, "others"));
      const why = this.#waits(sidecars) ? tooFew("the others", theirs) : "no sidecar waits any more";
      return this.#unknown(gate, why);
    }
    const own = quantile(counted, 0.99);
    if (own <= others * (1 + limit / 100)) return open;
    return closed(`${gate}: the P99 of upgraded sidecars is ${shown(own)} ms, that of the others ${shown(others)} ms`);
  }

  /** Upgraded ones by what they refused since they were asked; the others by all that they ever did, since what stands is refused once. */
  #refusals({ status: { sidecars = [] } = {}, spec }: SidecarUpgrade): GateAnswer {
    const limit = spec.strategy?.gates?.maxRefusedPercentMore;
    if (limit === undefined) return open;
    const gate = `${root}.maxRefusedPercentMore`;
    const refuse = (part: Part) => {
      const known = sidecars.filter((each) => partOf(each) === part && this.#last.has(each.uid));
      const bad = known.filter(({ uid, refusedBefore = 0 }) => (this.#last.get(uid)?.refused ?? 0) > refusedBefore);
      return { all: known.length, bad, percent: percentOf(bad.length, known.length) };
    };
    const [own, others] = [refuse("upgraded"), refuse("others")];
    if (own.all === 0) return this.#unknown(gate, "no upgraded sidecar tells its metrics");
    if (own.percent - others.percent <= limit) return open;
    const which = own.bad[0] ? `, such as ${own.bad[0].namespace}/${own.bad[0].pod} in ${own.bad[0].cluster}` : "";
    return closed(
      `${gate}: ${own.bad.length} of ${own.all} upgraded sidecars refused configuration, of the others ${others.bad.length} of ${others.all}${which}`,
    );
  }

  #unknown(gate: string, usual: string): GateAnswer {
    const why = this.#problem === "" ? usual : this.#problem;
    return { opens: false, failed: false, why: `${gate} has no metrics to compare: ${why}` };
  }

  #waits(sidecars: readonly UpgradedSidecar[]): boolean {
    return sidecars.some((each) => partOf(each) === "others");
  }

  async #read(sidecar: UpgradedSidecar): Promise<void> {
    const { cluster, namespace, pod, uid } = sidecar;
    try {
      const counts = await countsOf(this.#sources, sidecar);
      const by = this.#first.get(uid)?.by;
      // What an agent told is older: it is taken from what it told before alone.
      if (by === "proxy" && counts.by === "agent") return;
      if (by !== counts.by) this.#first.set(uid, counts);
      this.#last.set(uid, counts);
    } catch (error) {
      this.#problem = `${namespace}/${pod} in ${cluster}: ${messageOf(error)}`;
    }
  }

  #counts(sidecars: readonly UpgradedSidecar[], part: Part): readonly ProxyCounts[] {
    return sidecars.flatMap((each) => {
      const [first, last] = [this.#first.get(each.uid), this.#last.get(each.uid)];
      return partOf(each) === part && first && last ? [since(first, last)] : [];
    });
  }
}

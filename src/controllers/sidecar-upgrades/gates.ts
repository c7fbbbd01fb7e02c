import type { SidecarUpgrade, UpgradedSidecar } from "#api/weft/sidecar-upgrade.ts";
import { messageOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import type { GateAnswer } from "./plan.ts";
import { readRequests, type RequestCounts, since } from "./requests.ts";

/** Sidecars of each kind that are compared; the others are passed over. */
const mostCompared = 50;

type Part = "upgraded" | "others";

const open: GateAnswer = { opens: true, failed: false, why: "" };

function partOf({ phase }: UpgradedSidecar): Part | undefined {
  if (phase === "Upgraded") return "upgraded";
  return phase === "Waiting" ? "others" : undefined;
}

const percentOf = ({ all, failed }: RequestCounts): number => (all === 0 ? 0 : (failed / all) * 100);

/** Compares what upgraded sidecars of one upgrade answer with what the others do, from when a wave is watched. */
export class Gates {
  readonly #member: (name: string) => Client | undefined;
  #watched = "";
  /** Counts by UID when the wave began to be watched, and now. */
  readonly #first = new Map<string, RequestCounts>();
  readonly #last = new Map<string, RequestCounts>();
  #problem = "";

  constructor(member: (name: string) => Client | undefined) {
    this.#member = member;
  }

  /** Reads what was answered, while a wave is watched. */
  async look({ status = {}, spec }: SidecarUpgrade): Promise<void> {
    const { waveSince = "", sidecars = [] } = status;
    if (spec.strategy?.gates?.maxErrorPercentMore === undefined || waveSince === "") return;
    if (waveSince !== this.#watched) {
      this.#first.clear();
      this.#last.clear();
      this.#watched = waveSince;
    }
    const parts = (["upgraded", "others"] as const).flatMap((part) =>
      sidecars.filter((each) => partOf(each) === part).slice(0, mostCompared),
    );
    await Promise.all(parts.map(async (each) => this.#read(each)));
  }

  /** Whether the next wave may begin. */
  answer({ status = {}, spec }: SidecarUpgrade): GateAnswer {
    const limit = spec.strategy?.gates?.maxErrorPercentMore;
    const { sidecars = [] } = status;
    if (limit === undefined) return open;
    const gate = "spec.strategy.gates.maxErrorPercentMore";
    const counted = this.#sum(sidecars, "upgraded");
    if (counted.all === 0) {
      const why = this.#problem === "" ? "upgraded sidecars were asked for nothing" : this.#problem;
      return { opens: false, failed: false, why: `${gate} has no metrics to compare: ${why}` };
    }
    const [own, others] = [percentOf(counted), percentOf(this.#sum(sidecars, "others"))];
    if (own - others <= limit) return open;
    const why = `${gate}: upgraded sidecars failed ${own.toFixed(1)} percent of ${counted.all} requests, the others ${others.toFixed(1)} percent`;
    return { opens: false, failed: true, why };
  }

  async #read({ cluster, namespace, pod, uid }: UpgradedSidecar): Promise<void> {
    const client = this.#member(cluster);
    if (!client) return;
    try {
      const counts = await readRequests(client, namespace, pod);
      if (!this.#first.has(uid)) this.#first.set(uid, counts);
      this.#last.set(uid, counts);
    } catch (error) {
      this.#problem = `${namespace}/${pod} in ${cluster}: ${messageOf(error)}`;
    }
  }

  #sum(sidecars: readonly UpgradedSidecar[], part: Part): RequestCounts {
    let [all, failed] = [0, 0];
    for (const each of sidecars) {
      const [first, last] = [this.#first.get(each.uid), this.#last.get(each.uid)];
      if (partOf(each) !== part || !first || !last) continue;
      const counted = since(first, last);
      all += counted.all;
      failed += counted.failed;
    }
    return { all, failed };
  }
}

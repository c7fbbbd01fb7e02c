import type { LearnedHost } from "#api/weft/egress-scope.ts";
import { timestamp } from "#base/timestamp.ts";

/** Steps of a host's life in which it is told when it was last called: writing that down each time would be writing all the time. */
const lifeSteps = 30;
/** The step where nothing is forgotten: a day. */
const endlessStepMs = 86_400_000;

/** How hosts are remembered. */
export interface Memory {
  /** Milliseconds since the epoch. */
  readonly now: number;
  /** Milliseconds after which a host that is not called is forgotten; zero for never. */
  readonly lifeMs: number;
  /** How many there may be. */
  readonly most: number;
  /** Whether a host may be forgotten: nobody who might call it unseen is there. */
  readonly mayForget: (host: string) => boolean;
}

/** How exact it is when a host was last called, in milliseconds. */
export function lastUsedStepMs(lifeMs: number): number {
  return lifeMs === 0 ? endlessStepMs : lifeMs / lifeSteps;
}

/**
 * What is remembered of a workload's calls: hosts that it called before and calls now, less those that it has not called
 * for long.
 * @param before what was remembered.
 * @param called when hosts were called since, as milliseconds since the epoch.
 * @param declared hosts that are held in any case; they are not learned.
 */
export function remembered(
  before: readonly LearnedHost[],
  called: ReadonlyMap<string, number>,
  declared: ReadonlySet<string>,
  { now, lifeMs, most, mayForget }: Memory,
): readonly LearnedHost[] {
  const known = new Set(before.map(({ host }) => host));
  const kept = before
    .filter(({ host }) => !declared.has(host))
    .map((one) => {
      const at = called.get(one.host);
      const isNews = at !== undefined && at - Date.parse(one.lastUsed) >= lastUsedStepMs(lifeMs);
      return isNews ? { ...one, lastUsed: timestamp(at) } : one;
    })
    .filter(({ host, lastUsed }) => lifeMs === 0 || now - Date.parse(lastUsed) < lifeMs || !mayForget(host));
  const news = [...called]
    .filter(([host]) => !known.has(host) && !declared.has(host))
    .map(([host, at]) => ({ host, firstUsed: timestamp(at), lastUsed: timestamp(at) }));
  return [...kept, ...news.slice(0, Math.max(0, most - kept.length - declared.size))];
}

import type { UpgradedSidecar } from "#api/weft/sidecar-upgrade.ts";
import type { Ask } from "./plan.ts";
import { countsOf, type CountSources } from "./requests.ts";

/** Sidecars that are read at one look for what came of them. */
const mostRead = 50;

/**
 * Sidecars with what they have counted when they are asked, and what failed until they were upgraded. Counts go on from one process to
 * the next, so that requests that the one before answers as it drains are among them.
 */
export async function withCounts(
  sources: CountSources,
  before: readonly UpgradedSidecar[] = [],
  now: readonly UpgradedSidecar[] | undefined,
  asks: readonly Ask[],
): Promise<readonly UpgradedSidecar[] | undefined> {
  const asked = new Set(asks.map(({ sidecar }) => sidecar.uid));
  const done = new Set(before.filter(({ phase }) => phase === "Upgraded").map(({ uid }) => uid));
  const ended = (now ?? []).filter(
    ({ uid, phase, failedBefore }) => phase === "Upgraded" && !done.has(uid) && failedBefore !== undefined,
  );
  const wanted = [...(now ?? []).filter(({ uid }) => asked.has(uid)), ...ended.slice(0, mostRead)];
  if (wanted.length === 0) return now;
  const read = await Promise.all(
    wanted.map(async (each) => [each.uid, await countsOf(sources, each).catch(() => undefined)] as const),
  );
  const counts = new Map(read);
  return now?.map((each): UpgradedSidecar => {
    const seen = counts.get(each.uid);
    if (!seen) return each;
    if (asked.has(each.uid)) return { ...each, failedBefore: seen.failed, refusedBefore: seen.refused };
    return { ...each, failed: Math.max(seen.failed - (each.failedBefore ?? 0), 0) };
  });
}

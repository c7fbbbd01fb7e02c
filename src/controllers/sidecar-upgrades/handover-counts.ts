import type { UpgradedSidecar } from "#api/weft/sidecar-upgrade.ts";
import type { Client } from "#kube/client.ts";
import type { Ask } from "./plan.ts";
import { type ProxyCounts, readCounts } from "./requests.ts";

/** Sidecars that are read at one look for what came of them. */
const mostRead = 50;

type Member = (name: string) => Client | undefined;

/** What a sidecar counts; undefined where its metrics cannot be read. */
async function countsOf(
  member: Member,
  { cluster, namespace, pod }: UpgradedSidecar,
): Promise<ProxyCounts | undefined> {
  const client = member(cluster);
  if (!client) return undefined;
  return readCounts(client, namespace, pod).catch(() => undefined);
}

/**
 * Sidecars with what they have counted when they are asked, and what failed until they were upgraded. Counts go on from one process to
 * the next, so that requests that the one before answers as it drains are among them.
 */
export async function withCounts(
  member: Member,
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
  const read = await Promise.all(wanted.map(async (each) => [each.uid, await countsOf(member, each)] as const));
  const counts = new Map(read);
  return now?.map((each): UpgradedSidecar => {
    const seen = counts.get(each.uid);
    if (!seen) return each;
    if (asked.has(each.uid)) return { ...each, failedBefore: seen.failed, refusedBefore: seen.refused };
    return { ...each, failed: Math.max(seen.failed - (each.failedBefore ?? 0), 0) };
  });
}

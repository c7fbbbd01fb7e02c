import type { Clock } from "#base/clock.ts";
import type { PodProxy } from "../pod-proxy.ts";
import type { Leaving } from "./record.ts";

/** How soon the next step of leaving is looked at. */
export const stepMs = 500;
/** How long a proxy may take to get a configuration by which it takes plain text; later, callers that send it are refused. */
const openMs = 15_000;
/** How long no caller must have begun to speak mutual TLS, and how long that is waited for. */
const quietMs = 5000;
const awareMs = 60_000;

/** What of a proxy decides about the steps. */
type LeavingProxy = Pick<PodProxy, "beLenient" | "takesPlainText" | "handshakes">;

/** The proxy first takes plain text beside mutual TLS; only then callers are told to send it. */
async function open(leaving: Leaving, proxy: LeavingProxy, now: number): Promise<Leaving> {
  proxy.beLenient(true);
  const takes = await proxy.takesPlainText().catch(() => false);
  return takes || now >= leaving.since + openMs ? { ...leaving, told: now } : leaving;
}

/** Callers that have not heard show by new connections of mutual TLS. */
async function listen(leaving: Leaving, proxy: LeavingProxy, now: number): Promise<Leaving> {
  const count = await proxy.handshakes().catch(() => undefined);
  if (count === undefined || count === leaving.handshakes) return leaving;
  return { ...leaving, handshakes: count, unaware: now };
}

/**
 * One step of a Pod out of the mesh, before its traffic goes past its proxy: so that no caller is refused on the way, the proxy takes what
 * callers send before and after they are told, and goes when the last of them has heard.
 * @returns how far it has come, and whether its traffic may now go past the proxy.
 */
export async function leavingStep(
  before: Leaving,
  proxy: LeavingProxy,
  clock: Pick<Clock, "now">,
): Promise<{ readonly leaving: Leaving; readonly done: boolean }> {
  const now = clock.now();
  if (before.told === undefined) return { leaving: await open(before, proxy, now), done: false };
  const leaving = await listen(before, proxy, now);
  const quietSince = Math.max(before.told, leaving.unaware ?? 0);
  return { leaving, done: now >= quietSince + quietMs || now >= before.told + awareMs };
}

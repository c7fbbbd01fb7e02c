import { readable } from "#base/readable.ts";
import type { ProxyEvent } from "#status/proxy-events.ts";
import type { ProxyStatus } from "#xds/port.ts";
import { clusterOf, nodeParts, shortType } from "../proxy-object.ts";
import type { HeldReport } from "./reports.ts";

/** Milliseconds for which it is told that a proxy ended: who starts later does not tell of what is long past. */
const recentMs = 600_000;
/** Characters of an event's message, as Kubernetes takes it. */
const longest = 1000;

function placeOf(id: string, cluster: string): Pick<ProxyEvent, "cluster" | "namespace" | "pod"> | undefined {
  const { pod, namespace } = nodeParts(id);
  return pod === "" || cluster === "" ? undefined : { cluster, namespace, pod };
}

function eventOf(
  id: string,
  cluster: string,
  what: Pick<ProxyEvent, "reason" | "message" | "occasion">,
): readonly ProxyEvent[] {
  const place = placeOf(id, cluster);
  return place ? [{ ...place, ...what, message: readable(what.message).slice(0, longest) }] : [];
}

/** What stands now of what happened to a proxy's process. */
function ofReport({ node, report, live }: HeldReport, now: number): readonly ProxyEvent[] {
  const { restarts, lastExit, silent, process } = report;
  const ended = lastExit && restarts > 0 && now - lastExit.at < recentMs;
  return [
    ...(ended
      ? eventOf(node.id, node.cluster, {
          reason: "ProxyEnded",
          message: `Envoy was started again (${restarts} times by now): ${lastExit.reason}`,
          occasion: String(restarts),
        })
      : []),
    ...(live && silent !== undefined && process === "Running"
      ? eventOf(node.id, node.cluster, { reason: "ProxyNotResponding", message: `Envoy does not answer: ${silent}` })
      : []),
  ];
}

/** What a proxy refuses now. */
function ofRefusals({ node, types }: ProxyStatus): readonly ProxyEvent[] {
  return Object.entries(types).flatMap(([url, { refused }]) => {
    if (!refused) return [];
    const type = shortType(url);
    const what = refused.resources.slice(0, 3).join(", ");
    const message = `Envoy refuses ${type} (${what}): ${refused.message}`;
    return eventOf(node.id, clusterOf(node), {
      reason: "ProxyRefuses",
      message,
      occasion: `${type} ${refused.message}`,
    });
  });
}

/** What stands now of what happened to proxies, as events of their Pods. */
export function happenings(
  reports: Iterable<HeldReport>,
  refusing: readonly ProxyStatus[],
  now: number,
): readonly ProxyEvent[] {
  return [...[...reports].flatMap((held) => ofReport(held, now)), ...refusing.flatMap(ofRefusals)];
}

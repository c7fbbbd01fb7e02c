import type { CaptureOptions } from "#runtime/capture.ts";
import { podCapture } from "../capture-annotations.ts";
import type { ProxyContext } from "../node-context.ts";
import type { ProxyRecord } from "../records.ts";
import { type HijackMode, hijackKey, hijackMode, hijackModes, sockmapKey } from "#api/weft/hijack-mode.ts";
import type { Kept } from "./node-traffic.ts";

/** What of a Pod's connections is not known by the Pod itself. */
interface PodWay {
  /** File of its network namespace. */
  readonly network: string;
  /** Whether nothing of it runs yet. */
  readonly fresh?: boolean;
  /** The name servers that are answered in place of, and where. */
  readonly dns?: CaptureOptions["dns"];
  /** How connections are led unless the Pod says otherwise. */
  readonly usual: HijackMode;
}

/** What is known of how a Pod's connections are led, and how it is kept. */
export function keptTraffic({ records }: Pick<ProxyContext, "records">, record: ProxyRecord): Kept {
  return { record: (record.traffic ??= {}), save: () => records.save(record) };
}

/**
 * How a Pod's connections are to be led: as its annotation says, else its namespace's label or the mesh, else as usual. A word that means
 * nothing counts for nothing.
 */
function wantedMode(record: ProxyRecord, usual: HijackMode): { readonly mode: HijackMode; readonly problem?: string } {
  const word = record.pod.metadata.annotations?.[hijackKey];
  const otherwise = record.settings?.hijack ?? usual;
  const mode = hijackMode(word);
  if (mode || word === undefined) return { mode: mode ?? otherwise };
  const problem = `the annotation ${hijackKey} says ${JSON.stringify(word)}, which is none of ${hijackModes.join(", ")}: ${otherwise} holds`;
  return { mode: otherwise, problem };
}

/**
 * Has a Pod's connections led to its proxy as is wanted now, and tidies up after the change that was last.
 * @throws WeftError `InvalidArgument` when its annotations are wrong.
 */
export async function leadPod(context: ProxyContext, record: ProxyRecord, way: PodWay): Promise<void> {
  const { traffic, tell } = context;
  const { pod, address } = record;
  const { network, fresh = false } = way;
  const kept = keptTraffic(context, record);
  const { refused: before, misread } = kept.record;
  const { mode, problem } = wantedMode(record, way.usual);
  if (problem === undefined) delete kept.record.misread;
  else kept.record.misread = problem;
  if (problem !== undefined && problem !== misread)
    tell(pod, { type: "Warning", reason: "InvalidHijack", message: problem.slice(0, 1000) });
  const capture = podCapture(pod, way.dns);
  const sockmap = pod.metadata.annotations?.[sockmapKey] === "true";
  await traffic.lead({ network, address, capture, fresh, sockmap, ipv6: record.ipv6 === true }, mode, kept);
  await traffic.tidy(network, kept);
  const why = kept.record.refused?.why;
  if (why === undefined || why === before?.why) return;
  const message = `Connections are led by iptables instead of eBPF: ${why}`;
  tell(pod, { type: "Warning", reason: "HijackFallback", message: message.slice(0, 1000) });
}

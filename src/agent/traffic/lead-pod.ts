import type { CaptureOptions } from "#runtime/capture.ts";
import { podCapture } from "../capture-annotations.ts";
import type { ProxyContext } from "../node-context.ts";
import type { ProxyRecord } from "../records.ts";
import { type HijackMode, hijackMode } from "./mode.ts";
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
 * Has a Pod's connections led to its proxy as is wanted now, and tidies up after the change that was last.
 * @throws WeftError `InvalidArgument` when its annotations are wrong.
 */
export async function leadPod(context: ProxyContext, record: ProxyRecord, way: PodWay): Promise<void> {
  const { traffic, tell } = context;
  const { pod, address } = record;
  const { network, fresh = false } = way;
  const kept = keptTraffic(context, record);
  const before = kept.record.refused?.why;
  const capture = podCapture(pod, way.dns);
  await traffic.lead({ network, address, capture, fresh }, hijackMode(pod, way.usual), kept);
  await traffic.tidy(network, kept);
  const why = kept.record.refused?.why;
  if (why === undefined || why === before) return;
  const message = `Connections are led by iptables instead of eBPF: ${why}`;
  tell(pod, { type: "Warning", reason: "HijackFallback", message: message.slice(0, 1000) });
}

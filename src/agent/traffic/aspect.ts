import { hijackCondition } from "#api/kubernetes/pod-status.ts";
import type { TrafficRecord } from "./record.ts";

/** Ways as conditions call them. */
const words = { iptables: "IPTables", ebpf: "EBPF" } as const;

/** What a condition tells of how a Pod's connections are led; undefined while none are. */
export function trafficAspect(
  record: TrafficRecord | undefined,
): { readonly type: string; readonly ok: boolean; readonly reason: string; readonly message?: string } | undefined {
  const { mode, unsettled, refused, misread, older, sockmap } = record ?? {};
  if (mode === undefined || mode === "none") return undefined;
  const type = hijackCondition;
  const reason = words[mode];
  if (refused) return { type, ok: false, reason, message: `eBPF is wanted, and refused: ${refused.why}` };
  if (misread !== undefined) return { type, ok: false, reason, message: misread };
  if (unsettled) return { type, ok: false, reason, message: "connections are about to be led otherwise" };
  const left = older?.ends.length ?? 0;
  const parts = [
    ...(left > 0 ? [`${left} connections go on as they were led before`] : []),
    ...(sockmap === true && mode === "ebpf" ? ["its proxy takes the shortcut (sockmap) to others of the node"] : []),
  ];
  return { type, ok: true, reason, ...(parts.length > 0 && { message: parts.join("; ") }) };
}

import type { HeldReport } from "./reports.ts";

/** Where a proxy stands, in one word. */
export type ProxyPhase =
  | "Starting"
  | "Running"
  | "NotReady"
  | "NotResponding"
  | "Disconnected"
  | "Draining"
  | "Restarting"
  | "Ended"
  | "Connected";

/**
 * Where a proxy stands, by what its agent says and whether it is connected; `Connected` where no agent tells more.
 * @param connected whether it has a stream of configuration here.
 */
export function phaseOf(held: HeldReport | undefined, connected: boolean): ProxyPhase {
  if (!held) return "Connected";
  const { process, drainingSince, silent, ready } = held.report;
  if (process === "Waiting") return "Restarting";
  if (process !== "Running") return process;
  if (drainingSince !== undefined) return "Draining";
  if (silent !== undefined) return "NotResponding";
  if (!connected) return "Disconnected";
  return ready ? "Running" : "NotReady";
}

import type { Condition } from "#api/kubernetes/meta.ts";
import { timestamp } from "#base/timestamp.ts";

/** Whether an object is as it should be, and why. */
export interface Readiness {
  readonly ready: boolean;
  /** One word in upper camel case. */
  readonly reason: string;
  /** For people; may be empty. */
  readonly message: string;
}

/**
 * The condition Ready, with the time of its last change of status.
 * @param now milliseconds since the epoch.
 */
export function readyCondition(
  before: readonly Condition[] | undefined,
  { ready, reason, message }: Readiness,
  now: number,
): Condition {
  const known = before?.find(({ type }) => type === "Ready");
  const status = ready ? "True" : "False";
  const since = known?.status === status ? known.lastTransitionTime : timestamp(now);
  return { type: "Ready", status, reason, message, lastTransitionTime: since };
}

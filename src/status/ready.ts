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
 * A condition with the time of its last change of status.
 * @param now milliseconds since the epoch.
 */
export function condition(
  type: string,
  before: readonly Condition[] | undefined,
  { ready, reason, message }: Readiness,
  now: number,
): Condition {
  const known = before?.find((each) => each.type === type);
  const status = ready ? "True" : "False";
  const since = known?.status === status ? known.lastTransitionTime : timestamp(now);
  return { type, status, reason, message, lastTransitionTime: since };
}

/**
 * The condition Ready.
 * @param now milliseconds since the epoch.
 */
export function readyCondition(before: readonly Condition[] | undefined, readiness: Readiness, now: number): Condition {
  return condition("Ready", before, readiness, now);
}

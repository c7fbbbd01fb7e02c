import { timestamp } from "#base/timestamp.ts";

/** What the conditions of all kinds share. */
export interface ConditionLike {
  readonly type: string;
  readonly status: string;
  readonly lastTransitionTime?: string;
}

/** A condition with the time of its last change of status, which stays while the status does. */
export function transition<C extends ConditionLike>(before: readonly ConditionLike[], condition: C, now: number): C {
  const known = before.find(({ type }) => type === condition.type);
  const since = known?.status === condition.status ? known.lastTransitionTime : undefined;
  return { ...condition, lastTransitionTime: since ?? timestamp(now) };
}

import type { User } from "../user.ts";

/** For how long what a user showed is good: what goes on after it was checked, such as a watch, ends with it. */
export interface Proof {
  /** Milliseconds since the epoch. */
  readonly until: number;
  /** Whether all is still there that it is bound to, such as the Pod of a token; absent for what is bound to nothing. */
  readonly holds?: () => Promise<boolean>;
}

/** Of who reaches what only its owner can, and of nobody. */
export const endless: Proof = { until: Infinity };

/** A user who has shown who they are. */
export interface Proven {
  readonly user: User;
  readonly proof: Proof;
}

/** Keys that an authority makes for itself. */
export const authorityKeys = ["P-256", "P-384", "RSA-2048", "RSA-3072", "RSA-4096"] as const;
export type AuthorityKey = (typeof authorityKeys)[number];

/** How long certificates are valid, in milliseconds. */
export interface Lifetimes {
  /** Where nothing is asked for. */
  readonly defaultMs: number;
  /** Who asks for more is refused, as by Istio. */
  readonly mostMs: number;
}

const dayMs = 86_400_000;

/** Istio's. */
export const defaultLifetimes: Lifetimes = { defaultMs: dayMs, mostMs: 90 * dayMs };

import type { Identity } from "./spiffe.ts";

/** Who calls, as far as it was proven. */
export interface Caller extends Identity {
  /** The cluster whose token was shown; unknown of who showed a certificate. */
  readonly cluster?: string;
  /** The Pod that the token is bound to. */
  readonly pod?: { readonly name: string; readonly uid: string };
  /** The Node that the token, or its Pod, is bound to. */
  readonly node?: string;
  /** When the token ends, in milliseconds since the epoch; unknown of who showed a certificate. */
  readonly until?: number;
}

/** What a token of a service account says of its holder. */
export type TokenHolder = Pick<Caller, "namespace" | "serviceAccount" | "pod" | "node" | "until">;

/** A service account by its name. */
export interface ServiceAccountName {
  readonly namespace: string;
  readonly name: string;
}

const subjectForm = /^system:serviceaccount:([^:]+):([^:]+)$/;

/** The service account that Kubernetes calls by a user name; undefined for other users. */
export function serviceAccountOf(user: unknown): ServiceAccountName | undefined {
  const [, namespace, name] = (typeof user === "string" && subjectForm.exec(user)) || [];
  return namespace === undefined || name === undefined ? undefined : { namespace, name };
}

import type { ResourceObject } from "../meta.ts";
import { valueAt } from "../columns.ts";

/** A Secret or ConfigMap that a Gateway's server names, as its status tells of it. */
export interface GatewayCredential {
  /** The field that names it: `spec.servers[0].tls.credentialName`. */
  readonly field: string;
  readonly kind: string;
  readonly namespace: string;
  readonly name: string;
  /** The cluster that it is in; absent for the mesh's own API. */
  readonly cluster?: string;
  /** When its certificate ends, in RFC 3339; of authorities, the first of them. */
  readonly notAfter: string;
}

/** The member of a Gateway's status that tells of its credentials; Weft's own, in what Istio leaves open. */
export function credentialsIn(object: ResourceObject): readonly GatewayCredential[] {
  const told = valueAt(object, "status", "credentials");
  return Array.isArray(told) ? (told as readonly GatewayCredential[]) : [];
}

/** When the first of a Gateway's certificates ends; undefined where none is known. */
export function firstEnd(object: ResourceObject): string | undefined {
  const [first] = credentialsIn(object)
    .map(({ notAfter }) => notAfter)
    .toSorted();
  return first;
}

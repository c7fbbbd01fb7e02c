import type { Lease } from "../kubernetes/lease.ts";

/** By this label the Leases of a mesh's control planes, side by side, are found. */
export const replicaLabel = "mesh.weft.dev/replica-of";
export const replicaLabelValue = "discovery";

/** Where a control plane tells of its proxies to the mesh's API servers, as JSON of `ProxyApiPlace`, on its Lease. */
export const proxyApiAnnotation = "mesh.weft.dev/proxy-api";

/** The name that a control plane's certificate has there. */
export const proxyApiName = "proxies.weft.internal";
/** The name in the certificate by which the mesh's API servers ask there. */
export const proxyApiClient = "system:weft:server";

/** Where and as whom a control plane tells of its proxies. */
export interface ProxyApiPlace {
  /** `10.0.0.3:15014`, an IPv6 address in brackets. */
  readonly address: string;
  /** The authority of its certificate, in PEM, which lasts as long as the control plane. */
  readonly authority: string;
}

/** What a Lease says of it; undefined where it says nothing that can be read. */
export function proxyApiPlace({ metadata: { annotations = {} } }: Pick<Lease, "metadata">): ProxyApiPlace | undefined {
  try {
    const { address, authority } = JSON.parse(annotations[proxyApiAnnotation] ?? "") as Partial<ProxyApiPlace>;
    return typeof address === "string" && typeof authority === "string" ? { address, authority } : undefined;
  } catch {
    return undefined;
  }
}

/** Where the Lease is by which a replica of the control plane tells that it is there. */
export function replicaPlace(
  namespace: string,
  replica: string,
): { readonly namespace: string; readonly name: string } {
  return { namespace, name: `weft-discovery-${replica}` };
}

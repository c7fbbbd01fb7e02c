/** How large a mesh is. */
export interface BenchScale {
  readonly services: number;
  readonly namespaces: number;
  /** Namespaces whose proxies see only their own: the first so many. */
  readonly sidecars: number;
}

/** The member cluster's name. */
export const benchCluster = "main";
/** Addresses of Pods, as endpoints have them. */
export const podRange = "10.20.0.0/14";
/** Addresses of Services. */
export const serviceRange = "10.100.0.0/16";

import type { FrontProxyTrust } from "#api/front-proxy.ts";

/** How a member cluster has a namespace: not at all, on its way out of the cluster, or in use. */
export type NamespaceState = "absent" | "terminating" | "active";

/** A cluster that may have namespaces of the mesh. */
export interface NamespaceHolder {
  /** The cluster's id. */
  readonly name: string;
  /**
   * Asks the cluster itself, at this moment.
   * @throws WeftError `Unavailable` while it cannot be asked.
   */
  namespace(name: string): Promise<NamespaceState>;
}

/** A cluster whose API server passes requests on to this one, as this server sees it. */
export interface Member extends NamespaceHolder {
  /** Whom to believe that a request comes from the cluster's API server; undefined while that is not known. */
  trust(): FrontProxyTrust | undefined;
  /**
   * Asks the cluster whether somebody of it may do something.
   * @param spec Kubernetes' `authorization/v1.SubjectAccessReviewSpec`.
   * @throws WeftError `Unavailable` while it cannot be asked.
   */
  review(spec: object): Promise<Verdict>;
}

/** What a cluster says of a review. Kubernetes' `authorization/v1.SubjectAccessReviewStatus`. */
export interface Verdict {
  readonly allowed: boolean;
  /** Why, or what could not be evaluated; may be empty. */
  readonly reason: string;
}

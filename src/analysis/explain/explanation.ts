import type { ObjectRef } from "#api/meta.ts";
import type { ExplainedRequest } from "./request.ts";

/** A field of an object that decided something. */
export interface Reason {
  readonly ref: ObjectRef;
  /** `spec.http[0].match[1]`; the object as a whole where empty. */
  readonly field: string;
  /** What stands there; absent where the object is not at hand. */
  readonly value?: unknown;
}

/** Something that was decided on the request's way, and by what. */
export interface Step {
  readonly name: "name" | "listener" | "virtual host" | "route" | "policy" | "answer" | "note";
  /** Name of the Envoy resource that decided, if one did. */
  readonly resource?: string;
  readonly text: string;
  readonly because: readonly Reason[];
}

/** An address that may get the request. */
export interface ReachedEndpoint {
  readonly address: string;
  /** `pod.namespace` and its cluster, for a Pod of the mesh. */
  readonly pod?: { readonly name: string; readonly cluster: string };
  readonly locality: string;
  /** 0 is used first; others when too few of those before are healthy. */
  readonly priority: number;
  readonly healthy: boolean;
  /** What the Pod's own sidecar does with it. */
  readonly inbound?: string;
  /** What policies of that sidecar decide. */
  readonly policies?: readonly Step[];
  /** The policies of that sidecar refuse it. */
  readonly refused?: true;
}

/** A cluster that may get the request. */
export interface ReachedCluster {
  readonly cluster: string;
  /** Share of requests, 0 to 1. */
  readonly share: number;
  readonly text: string;
  readonly because: readonly Reason[];
  readonly endpoints: readonly ReachedEndpoint[];
}

/** The way of a request through the mesh, and what decided it. */
export interface Explanation {
  readonly request: ExplainedRequest;
  /** `pod.namespace` of the proxy that the request leaves through. */
  readonly proxy: string;
  readonly cluster: string;
  readonly steps: readonly Step[];
  readonly destinations: readonly ReachedCluster[];
}

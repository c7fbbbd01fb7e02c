import type { ProxyRecord } from "../records.ts";

/** What is known of one Pod of another runtime that has its sidecar of this agent. */
export interface ManagedRecord extends ProxyRecord {
  /** The network namespace that all of this is about; a Pod whose sandbox was made anew has another. */
  sandbox?: string;
  /** Whether its traffic was seen captured while its proxy was ready: it is joined. */
  joined?: boolean;
  /** Connections that are older than the rules and still open, in words. */
  outside?: readonly string[];
  /** It leaves the mesh: since when, in milliseconds since the epoch, and since when its traffic goes past the proxy. */
  leaving?: { readonly since: number; readonly released?: number };
}

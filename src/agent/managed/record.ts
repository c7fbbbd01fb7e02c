import type { ProxyRecord } from "../records.ts";

/** How far a Pod has come on its way out of the mesh; times in milliseconds since the epoch. */
export interface Leaving {
  readonly since: number;
  /** Its proxy takes plain text, and callers are being told to send it. */
  readonly told?: number;
  /** A caller was last seen that had not heard of it. */
  readonly unaware?: number;
  /** How many had begun to speak mutual TLS by then. */
  readonly handshakes?: number;
  /** New connections go past the proxy. */
  readonly released?: number;
}

/** What is known of one Pod of another runtime that has its sidecar of this agent. */
export interface ManagedRecord extends ProxyRecord {
  /** The network namespace that all of this is about; a Pod whose sandbox was made anew has another. */
  sandbox?: string;
  /** Until when it takes plain text, whatever policies say, since it ran before it joined; in milliseconds since the epoch. */
  lenientUntil?: number;
  /** Whether its traffic was seen captured while its proxy was ready: it is joined. */
  joined?: boolean;
  /** It joined before its first process began, by whose files its name servers are known. */
  early?: true;
  /** Connections that are older than the rules and still open, in words. */
  outside?: readonly string[];
  /** It leaves the mesh. */
  leaving?: Leaving;
}

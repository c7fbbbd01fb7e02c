import type { HijackMode } from "#api/weft/hijack-mode.ts";

/** How the connections of a Pod are led to its proxy: what a later agent needs to go on with it. */
export interface TrafficRecord {
  /** By what new connections are led: `none` for a Pod that asks to be left alone; absent before they are led at all. */
  mode?: HijackMode | "none";
  /** A change has begun of which nobody knows how far it came. */
  unsettled?: true;
  /** Rules of iptables that are in force, wholly or in part. */
  rules?: string;
  /** Whether connections of IPv6 are refused; absent before that was decided. */
  refusesIPv6?: boolean;
  /** Whether its network was made ready for connections of IPv6 to be led to its proxy. */
  takesIPv6?: true;
  /** By what the kernel's programs know the Pod. */
  known?: string;
  /** Whether its proxy's connections to others of the node may take the shortcut past TCP. */
  sockmap?: boolean;
  /** Why the kernel's programs do not lead it as was wanted, and when that was found. */
  refused?: { readonly why: string; readonly at: number };
  /** What is wrong with the Pod's own word for it. */
  misread?: string;
  /** Since when connections are led by programs, while some that iptables redirected may go on. */
  redirected?: number;
  /** Connections that go on past the rules as they were led before, in words, and since when. */
  older?: { readonly since: number; readonly ends: readonly string[] };
}

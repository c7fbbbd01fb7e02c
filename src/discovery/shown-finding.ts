import type { ProxyFinding } from "#xds/port.ts";

/** A finding about a proxy: of its stream, or of what its agent tells. */
export interface ShownFinding extends Omit<ProxyFinding, "code"> {
  /** A message of `weft analyze`. */
  readonly code: string;
}

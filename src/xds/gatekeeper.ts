import type { Call } from "#grpc/server.ts";
import type { ProxyNode } from "./port.ts";

/**
 * Whether a stream may be that of the proxy that it says it is.
 * @throws WeftError `PermissionDenied`, with who calls and whom it claims to be.
 */
export type Admit = (node: ProxyNode) => void;

/** Decides who is served. */
export interface Gatekeeper {
  /**
   * Finds out who opens a stream, by what was shown with it.
   * @throws WeftError `Unauthenticated`, or `Unavailable` when that cannot be found out now.
   */
  callerOf(call: Call): Promise<Admit>;
}

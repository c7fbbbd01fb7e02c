import type { Call } from "#grpc/server.ts";
import type { ProxyNode } from "./port.ts";

/**
 * Decides whether a stream may be that of the proxy that it says it is: when it begins, and again while it lasts.
 * @returns the proxy as it is to be served: what it says of itself, less what it may not say.
 * @throws WeftError `PermissionDenied`, with who calls and whom it claims to be; `Unauthenticated` when what the caller showed
 * is good no more; another code when that cannot be found out now.
 */
export type Admit = (node: ProxyNode) => Promise<ProxyNode>;

/** Decides who is served. */
export interface Gatekeeper {
  /**
   * Finds out who opens a stream, by what was shown with it.
   * @throws WeftError `Unauthenticated`, or `Unavailable` when that cannot be found out now.
   */
  callerOf(call: Call): Promise<Admit>;
}

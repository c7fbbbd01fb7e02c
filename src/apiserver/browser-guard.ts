import type { IncomingMessage } from "node:http";
import { isLoopback } from "#base/loopback.ts";
import { ApiError } from "./status.ts";

/** The host in a `Host` header or an origin, without port and brackets. */
function hostOf(authority: string): string {
  return authority.replace(/:\d+$/, "").replace(/^\[(.*)\]$/, "$1");
}

/**
 * Refuses what a web page of elsewhere makes a browser on this machine send: the API trusts whoever reaches its loopback
 * address, and a browser reaches it for any page. A name that was rebound to a loopback address shows in `Host`, a page
 * of another site in `Origin`.
 * @throws ApiError `Forbidden`.
 */
export function guardAgainstBrowsers(request: IncomingMessage): void {
  const { host = "", origin } = request.headers;
  if (host !== "" && !isLoopback(hostOf(host))) {
    throw new ApiError("Forbidden", `the request is for host "${host}", which is not this machine's loopback address`);
  }
  if (origin === undefined || origin === `http://${host}`) return;
  throw new ApiError("Forbidden", `requests from web pages of ${origin} are not taken`);
}

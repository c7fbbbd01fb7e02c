import { parseDuration } from "#base/duration.ts";
import { type FieldPath, forbidden, invalid, required } from "../field.ts";
import { textFormats } from "../formats.ts";
import type { ConnectionPoolSettings } from "./common.ts";
import type { Errors } from "./names.ts";

const httpLimits = [
  "http1MaxPendingRequests",
  "http2MaxRequests",
  "maxRequestsPerConnection",
  "maxRetries",
  "maxConcurrentStreams",
] as const;

function* validateHttp(http: NonNullable<ConnectionPoolSettings["http"]>, path: FieldPath): Errors {
  for (const name of httpLimits) {
    const limit = http[name] ?? 0;
    if (limit < 0) yield invalid(path.field(name), limit, "must be 0 or more");
  }
  if (http.h2UpgradePolicy === "UPGRADE" && http.useClientProtocol) {
    yield forbidden(path.field("useClientProtocol"), "h2UpgradePolicy is UPGRADE");
  }
  if (http.http2KeepAlive !== undefined) {
    for (const name of ["interval", "timeout"] as const) {
      if (http.http2KeepAlive[name] === undefined) yield required(path.field("http2KeepAlive", name));
    }
  }
}

function* validateTcp(tcp: NonNullable<ConnectionPoolSettings["tcp"]>, path: FieldPath): Errors {
  const { maxConnections = 0, idleTimeout } = tcp;
  if (maxConnections < 0) yield invalid(path.field("maxConnections"), maxConnections, "must be 0 or more");
  // No time at all stands for no limit here.
  const format = textFormats["positive-duration"];
  if (idleTimeout !== undefined && parseDuration(idleTimeout) !== 0 && !format?.accepts(idleTimeout)) {
    yield invalid(path.field("idleTimeout"), idleTimeout, format?.message ?? "");
  }
}

/** Checks how many connections and requests a destination gets. */
export function* validateConnectionPool(pool: ConnectionPoolSettings | undefined, path: FieldPath): Errors {
  if (pool === undefined) return;
  if (pool.http === undefined && pool.tcp === undefined) yield required(path, "http or tcp");
  if (pool.http !== undefined) yield* validateHttp(pool.http, path.field("http"));
  if (pool.tcp !== undefined) yield* validateTcp(pool.tcp, path.field("tcp"));
}

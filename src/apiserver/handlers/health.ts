import { json, text, type Reply } from "../reply.ts";
import type { Call } from "./call.ts";

/** What the server tells of itself at `/version`. Kubernetes' `version.Info`. */
export interface VersionInfo {
  readonly major: string;
  readonly minor: string;
  readonly gitVersion: string;
  readonly gitCommit: string;
  readonly gitTreeState: string;
  readonly buildDate: string;
  readonly goVersion: string;
  readonly compiler: string;
  readonly platform: string;
}

/** Answers `/version` and the health checks; undefined for any other path. */
export function handleHealth(call: Call, version: VersionInfo): Reply | undefined {
  switch (call.pathname) {
    case "/version":
    case "/version/":
      return json(version);
    case "/healthz":
    case "/livez":
      return text("ok");
    case "/readyz":
      return call.draining.aborted ? text("shutting down", 503) : text("ok");
    default:
      return undefined;
  }
}

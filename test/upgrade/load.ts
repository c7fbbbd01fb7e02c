/** What a caller of everything saw, since its start or since it was last asked to forget. */
export interface LoadReport {
  /** Requests, messages and words by kind. */
  readonly http1: number;
  readonly http2: number;
  readonly stream: number;
  readonly raw: number;
  readonly kept: number;
  /** Requests that went wrong, and connections that ended before they were done. */
  readonly problems: readonly string[];
  /** Milliseconds of requests, sorted. */
  readonly p99Ms: number;
}

/** Ports of the server. */
export const loadPorts = { http1: 8080, http2: 8081, raw: 9000, report: 8090 } as const;

import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import { parseDuration } from "#base/duration.ts";

/** How a proxy is started. */
export interface ProxyArguments {
  readonly config: MeshProxyConfig;
  /** Path of its bootstrap. */
  readonly bootstrap: string;
  /** Worker threads where its configuration says none. */
  readonly concurrency: number;
  /** `warning` unless told. */
  readonly logLevel?: string;
  /** `misc:error` unless told. */
  readonly componentLogLevel?: string;
  /** More flags, by their names. */
  readonly more?: Readonly<Record<string, string | number>>;
}

/** Envoy's command line, as Istio's agent has it. */
export function proxyArguments(start: ProxyArguments): readonly string[] {
  const { config, logLevel = "warning", componentLogLevel = "misc:error", more = {} } = start;
  const {
    concurrency = start.concurrency,
    drainDuration = "45s",
    fileFlushInterval = "1s",
    fileFlushMinSizeKb,
  } = config;
  const flags = {
    "-c": start.bootstrap,
    ...more,
    "--drain-time-s": Math.ceil(parseDuration(drainDuration) / 1000),
    "--drain-strategy": "immediate",
    "--local-address-ip-version": "v4",
    "--file-flush-interval-msec": Math.ceil(parseDuration(fileFlushInterval)),
    ...(fileFlushMinSizeKb !== undefined && { "--file-flush-min-size-kb": fileFlushMinSizeKb }),
    // Without the flag, Envoy has a worker for each processor of the machine.
    ...(concurrency > 0 && { "--concurrency": concurrency }),
    "--log-level": logLevel,
    "--component-log-level": componentLogLevel,
  };
  return Object.entries(flags).flatMap(([flag, value]) => [flag, String(value)]);
}

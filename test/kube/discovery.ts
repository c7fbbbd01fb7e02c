import { join } from "node:path";
import type { TestServer } from "#apiserver/testing/server.ts";
import { type Clock, systemClock } from "#base/clock.ts";
import { type Logger, silentLogger } from "#base/logger.ts";
import { type DiscoveryOptions, runDiscovery } from "#discovery/discovery.ts";

/**
 * Runs a control plane over a test's API server until disposed. xDS is served on `ads.sock` in the folder unless told.
 * @param folder holds its sockets.
 */
export function startDiscovery(
  server: Pick<TestServer, "url">,
  folder: string,
  more: Partial<DiscoveryOptions> = {},
  logger: Logger = silentLogger,
  clock: Clock = systemClock,
): AsyncDisposable {
  const stop = new AbortController();
  const options: DiscoveryOptions = {
    meshApi: server.url("mesh"),
    mesh: "default",
    xds: [{ socketPath: join(folder, "ads.sock") }],
    statusSocket: join(folder, "discovery.sock"),
    startLimitMs: 10_000,
    version: "0.0.0",
    ...more,
  };
  const running = runDiscovery(options, { clock, logger }, stop.signal);
  return {
    [Symbol.asyncDispose]: async () => {
      stop.abort();
      await running.catch(() => undefined);
    },
  };
}

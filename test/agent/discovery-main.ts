/** Runs a control plane with the options given as JSON, until it is asked to end or killed: `discovery-main.ts OPTIONS`. */
import { systemClock } from "#base/clock.ts";
import { jsonLogger } from "#base/logger.ts";
import { type DiscoveryOptions, runDiscovery } from "#discovery/discovery.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as DiscoveryOptions;
const logger = jsonLogger({
  level: "info",
  write: (line) => process.stderr.write(`${line}\n`),
  now: () => systemClock.now(),
});
const end = new AbortController();
process.once("SIGTERM", () => end.abort());
await runDiscovery(options, { clock: systemClock, logger }, end.signal);
process.exit();

/** Runs a node agent with the options given as JSON, until it is asked to end: `agent-main.ts OPTIONS`. */
import { runAgent } from "#agent/agent.ts";
import type { AgentOptions } from "#agent/options.ts";
import { systemClock } from "#base/clock.ts";
import { jsonLogger } from "#base/logger.ts";

const options = JSON.parse(process.argv[2] ?? "{}") as AgentOptions;
const logger = jsonLogger({
  level: "debug",
  write: (line) => process.stderr.write(`${line}\n`),
  now: () => systemClock.now(),
});
const end = new AbortController();
process.once("SIGTERM", () => end.abort());
await runAgent(options, { clock: systemClock, logger }, end.signal);
process.exit();

/**
 * The node's name server, a process of its own that outlives the agent: `dns-main.ts FOLDER RESOLVER...`. File 3 is the host's
 * network namespace, from which the resolvers are asked.
 */
import { systemClock as clock } from "#base/clock.ts";
import { jsonLogger } from "#base/logger.ts";
import { HostForwarder } from "./forwarder.ts";
import { DnsService } from "./service.ts";

const [, , folder = "", ...resolvers] = process.argv;
const logger = jsonLogger({ level: "info", write: (line) => console.log(line), now: () => clock.now() });
const end = new AbortController();
process.once("SIGTERM", () => end.abort());
const to = (servers: readonly string[]): HostForwarder =>
  new HostForwarder(`/proc/${process.pid}/fd/3`, servers, clock);
using host = to(resolvers);
await new DnsService(folder, { host, to }, clock, logger).run(end.signal);

import { Command, CommanderError } from "commander";
import { systemClock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import { noticeGoneHosts } from "#base/gone-hosts.ts";
import { benchCommand } from "./bench/command.ts";
import { discoveryCommand } from "./discovery.ts";
import { guardCommand } from "./guard.ts";
import { pilotAgentCommand } from "./pilot-agent.ts";
import { nodeAgentCommand, nodeAgentObjectsCommand, nodeAgentRemoveCommand } from "./node-agent.ts";
import { agentCommand } from "./processes.ts";
import { serverCommand } from "./server.ts";
import { weftVersion } from "./version.ts";

const longRunning: ReadonlySet<string> = new Set([
  "bench",
  "server",
  "guard",
  "discovery",
  "agent",
  "node-agent",
  "pilot-agent",
]);

/** The command line; `first` is the word after `weft`. */
async function build(first = ""): Promise<Command> {
  const program = new Command("weft")
    .description("Weft: an Istio-compatible, multi-cluster service mesh.")
    .version(weftVersion())
    .showSuggestionAfterError()
    .exitOverride();
  // What runs for long keeps what it loads: the mesh's processes do without the operators' commands.
  if (!longRunning.has(first)) {
    const { operatorCommands } = await import("./operator.ts");
    operatorCommands(program);
  }
  benchCommand(program);
  serverCommand(program);
  guardCommand(program);
  discoveryCommand(program);
  agentCommand(program);
  nodeAgentCommand(program);
  nodeAgentObjectsCommand(program);
  nodeAgentRemoveCommand(program);
  pilotAgentCommand(program);
  return program;
}

// A reader such as head that has seen enough ends a command as quietly as it ends others; what runs on cleans up first.
process.stdout.on("error", (error: NodeJS.ErrnoException) => {
  if (error.code !== "EPIPE") throw error;
  if (process.listenerCount("SIGTERM") > 0) process.emit("SIGTERM");
  else process.exit(0);
});

noticeGoneHosts(systemClock);
try {
  const program = await build(process.argv[2]);
  await program.parseAsync();
} catch (error) {
  if (error instanceof CommanderError) process.exitCode = error.exitCode === 0 ? 0 : 2;
  else {
    console.error(`weft: ${messageOf(error)}`);
    process.exitCode = codeOf(error) === "InvalidArgument" ? 2 : 1;
  }
}

import { getServers } from "node:dns";
import { isIPv4 } from "node:net";
import { dirname, resolve } from "node:path";
import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { type Logger, type LogLevel, jsonLogger, logLevels } from "#base/logger.ts";
import { type EnvoyFlags, envoyOptions, withEnvoyFlags } from "./envoy-flags.ts";
import { type HijackFlags, hijackOptions, withHijackFlags } from "./hijack-flags.ts";
import { wholeNumber } from "./output.ts";
import { trustOptions, withTrustFlags, type TrustFlags } from "./trust-flags.ts";
import { weftVersion } from "./version.ts";

/** Flags of every long-running process. */
export interface LogFlags {
  readonly logLevel: LogLevel;
}

/** A signal that aborts when the system asks the process to end. */
export function terminated(): AbortSignal {
  const end = new AbortController();
  for (const name of ["SIGINT", "SIGTERM"] as const) process.on(name, () => end.abort());
  return end.signal;
}

/** Logs to standard error. */
export function stderrLogger(flags: LogFlags): Logger {
  return jsonLogger({
    level: flags.logLevel,
    write: (line) => process.stderr.write(`${line}\n`),
    now: () => systemClock.now(),
  });
}

/** Adds the flag of logs to a command. */
export function withLogFlag(command: Command): Command {
  return command.addOption(
    command.createOption("--log-level <level>", "least important messages to log").choices(logLevels).default("info"),
  );
}

interface AgentFlags extends LogFlags, TrustFlags, HijackFlags, EnvoyFlags {
  readonly instance: string;
  readonly cluster: string;
  readonly node: string;
  readonly region: string;
  readonly zone: string;
  readonly network: string;
  readonly stateDir: string;
  readonly runDir: string;
  readonly api: string;
  readonly xds: string;
  readonly hostNetworkFd: number;
  readonly programs: string;
}

/** `weft agent`. */
export function agentCommand(program: Command): void {
  withEnvoyFlags(withHijackFlags(withTrustFlags(withLogFlag(program.command("agent")))), 1)
    .summary("run a node's agent")
    .description(
      "Runs the Pods of a node and an Envoy beside each. It lives in the network namespace of the node. Pods and Envoys outlive it.",
    )
    .requiredOption("--instance <name>", "name of the instance; namespaces and sockets hold it")
    .requiredOption("--cluster <name>", "the member cluster")
    .requiredOption("--node <name>", "the node's name")
    .requiredOption("--state-dir <folder>", "where it keeps what a later agent goes on with")
    .requiredOption("--run-dir <folder>", "folder of the instance's Unix sockets")
    .requiredOption("--api <url>", "URL of the cluster's API, or path of a kubeconfig that names it")
    .requiredOption(
      "--xds <address>",
      "where xDS is served, such as unix:/run/weft/demo/ads.sock; several replicas as 10.0.0.1:15012,10.0.0.2:15012",
    )
    .requiredOption(
      "--programs <file>",
      "JSON file of command lines by image name; they run in the folder above the file's",
    )
    .requiredOption("--envoy <path>", "the Envoy to run")
    .option("--region <name>", "the node's region", "")
    .option("--zone <name>", "the node's zone", "")
    .option("--network <name>", "the network of its Pods", "")
    .option("--host-network-fd <number>", "open descriptor of the host's network namespace", wholeNumber(3, 1023), 3)
    .addHelpText(
      "after",
      "\nExample:\n  nsenter --net=/run/netns/weft-own-fabric weft agent --instance own --cluster east --node east-1 ... 3</proc/self/ns/net",
    )
    .action(async (flags: AgentFlags) => {
      const { runAgent } = await import("#agent/agent.ts");
      const { instance, cluster, node, region, zone, network, stateDir, runDir, api, xds } = flags;
      const options = {
        instance,
        cluster,
        node,
        region,
        zone,
        network,
        stateDir,
        runDir,
        api,
        xds,
        // Named by this process: children open it, and have other descriptors.
        hostNetwork: `/proc/${process.pid}/fd/${flags.hostNetworkFd}`,
        programs: { file: flags.programs, folder: dirname(dirname(resolve(flags.programs))) },
        envoy: envoyOptions(flags),
        ...hijackOptions(flags),
        ...trustOptions(flags),
        resolvers: getServers().filter((address) => isIPv4(address)),
        clusterDomain: "cluster.local",
        meshId: "default",
        revision: "default",
        version: weftVersion(),
      };
      await runAgent(options, { clock: systemClock, logger: stderrLogger(flags) }, terminated());
    });
}

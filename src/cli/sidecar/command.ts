import { type Command, Option } from "commander";
import { systemClock } from "#base/clock.ts";
import { openApi, type ApiFlags, withApiFlags } from "../context.ts";
import type { ProxyObject } from "#discovery/proxy-object.ts";
import type { Client } from "#kube/client.ts";
import { interrupted } from "../cluster/progress.ts";
import { durationValue, type OutputFormat, outputOption, serialize, wholeNumber } from "../output.ts";
import { listSidecars, proxiesPath, proxyNamed } from "../proxy/proxies.ts";
import { type ChoiceFlags, withChoiceFlags } from "./choice-flags.ts";
import { describeText } from "./describe.ts";
import { followLog } from "./follow-log.ts";
import { listText } from "./list.ts";
import { upgradeCommand } from "./upgrade.ts";
import { topOrders, topText, TopScreen, type TopOrder } from "./top.ts";

interface OutputFlags {
  readonly output: OutputFormat;
}

/** The proxies that flags choose. */
async function chosenOf(client: Client, flags: ChoiceFlags): Promise<readonly ProxyObject[]> {
  // Selectors are read by a part of the API server, which other commands do not need.
  const { chosen } = await import("./choice.ts");
  return chosen(await listSidecars(client), flags);
}

function listCommand(group: Command): void {
  withApiFlags(withChoiceFlags(group.command("list").alias("ls")))
    .summary("list proxies with where they stand")
    .description(
      "Lists every proxy of every cluster, sidecars and gateways, also such as are not connected: phase, types that are in sync and for how long one is behind, restarts, how long its certificate is good, versions of Envoy and of the agent. Below stands how proxies that were started again ended, and what is refused.",
    )
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText(
      "after",
      "\nExamples:\n  weft sidecar list\n  weft sidecar list -n shop -l app=reviews\n  weft sidecar list --phase Restarting -o json",
    )
    .action(async (flags: ChoiceFlags & OutputFlags) => {
      using api = await openApi(flags);
      const proxies = await chosenOf(api.client, flags);
      const { output } = flags;
      const data = output === "json" || output === "yaml";
      process.stdout.write(data ? serialize(proxies, output) : listText(proxies, systemClock.now()));
    });
}

function describeCommand(group: Command): void {
  withApiFlags(group.command("describe"))
    .summary("show all that is known of one proxy")
    .description(
      "Shows all that is known of one proxy: its process and how it ended before, its agent, certificate, traffic, and where it stands with each type of configuration.",
    )
    .argument("<proxy>", "the proxy, as pod.namespace, Pod or workload")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText(
      "after",
      "\nExamples:\n  weft sidecar describe reviews-v1-5f9c7-x2k4p.shop\n  weft sidecar describe page -o yaml",
    )
    .action(async (word: string, flags: ApiFlags & OutputFlags) => {
      using api = await openApi(flags);
      const proxy = proxyNamed(await listSidecars(api.client), word);
      const { output } = flags;
      const data = output === "json" || output === "yaml";
      process.stdout.write(data ? serialize(proxy, output) : describeText(proxy, systemClock.now()));
    });
}

interface TopFlags extends ChoiceFlags, OutputFlags {
  readonly sort: TopOrder;
  readonly interval: number;
  readonly once?: boolean;
}

async function top(flags: TopFlags): Promise<void> {
  using api = await openApi(flags);
  const read = async (): Promise<readonly ProxyObject[]> => chosenOf(api.client, flags);
  const { output, sort, interval, once } = flags;
  if (output === "json" || output === "yaml") process.stdout.write(serialize(await read(), output));
  else if (once === true || !process.stdout.isTTY) process.stdout.write(topText(await read(), sort));
  else {
    const signal = interrupted();
    const first = await read();
    using screen = new TopScreen(process.stdout);
    for (let proxies = first; !signal.aborted; proxies = await read()) {
      screen.draw(topText(proxies, sort));
      await systemClock.sleep(interval, signal).catch(() => undefined);
    }
  }
}

function topCommand(group: Command): void {
  withApiFlags(withChoiceFlags(group.command("top")))
    .summary("show what proxies use and do, the most first")
    .description(
      "Shows CPU (thousandths of a processor), memory, connections, and requests and answers of the class 5xx a second of each proxy, again and again on a terminal, once elsewhere. Agents tell of their proxies each ten seconds.",
    )
    .addOption(new Option("-s, --sort <by>", "what is shown first").choices(topOrders).default("cpu"))
    .option("--interval <duration>", "how often it is read anew", durationValue, 2000)
    .option("--once", "print it once, on a terminal too")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText(
      "after",
      "\nExamples:\n  weft sidecar top\n  weft sidecar top -n shop --sort requests\n  weft sidecar top --once --sort memory | head",
    )
    .action(top);
}

interface LogFlags extends ApiFlags {
  readonly tail: number;
  readonly previous?: boolean;
  readonly follow?: boolean;
}

/** Milliseconds between two looks at a log that is followed, and lines of a look after the first. */
const followMs = 2000;
const followLines = 1000;

const terminal = {
  write: (text: string): void => void process.stdout.write(text),
  complain: (text: string): void => void process.stderr.write(text),
};

async function logs(word: string, { tail, previous = false, follow = false, ...flags }: LogFlags): Promise<void> {
  using api = await openApi(flags);
  const { metadata } = proxyNamed(await listSidecars(api.client), word);
  const path = `${proxiesPath}/namespaces/${metadata.namespace}/proxies/${metadata.name}/log`;
  const read = async (lines: number): Promise<string> => {
    const query = { tailLines: String(lines), previous: String(previous) };
    return (await api.client.bytes({ method: "GET", path, query })).toString("utf8");
  };
  if (!follow) {
    terminal.write(await read(tail));
    return;
  }
  const options = {
    read: async () => read(Math.max(tail, followLines)),
    ...terminal,
    clock: systemClock,
    everyMs: followMs,
  };
  await followLog({ ...options, first: tail }, interrupted());
}

function logsCommand(group: Command): void {
  withApiFlags(group.command("logs"))
    .summary("show what a proxy logs")
    .description(
      "Shows the end of what a proxy's Envoy logs. Of a proxy that its node's agent runs, the agent is asked; of one that is a container of its Pod, the Pod's cluster.",
    )
    .argument("<proxy>", "the proxy, as pod.namespace, Pod or workload")
    .option("--tail <lines>", "lines from the end", wholeNumber(0, 5000), 200)
    .addOption(
      new Option("-p, --previous", "of the process before the one that runs: why did it end?").conflicts("follow"),
    )
    .option("-f, --follow", "go on with what is added, over restarts of Envoy too")
    .addHelpText(
      "after",
      "\nExamples:\n  weft sidecar logs page\n  weft sidecar logs page --follow\n  weft sidecar logs page --previous --tail 20",
    )
    .action(logs);
}

/** `weft sidecar`. */
export function sidecarCommand(program: Command): void {
  const group = program
    .command("sidecar")
    .summary("see how proxies do, and replace their Envoy")
    .description("Shows how proxies do, sidecars and gateways, by the word of their agents and of the control plane.");
  listCommand(group);
  describeCommand(group);
  topCommand(group);
  logsCommand(group);
  upgradeCommand(group);
}

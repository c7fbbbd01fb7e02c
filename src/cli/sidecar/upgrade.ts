import { type Command, Option } from "commander";
import { type SidecarUpgrade, type SidecarUpgradeSpec, sidecarUpgrade } from "#api/weft/sidecar-upgrade.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { interrupted } from "../cluster/progress.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { collected, type OutputFormat, outputOption, serialize, wholeNumber } from "../output.ts";
import { table } from "../table.ts";

interface UpgradeFlags extends ApiFlags {
  readonly envoy?: string;
  readonly renew?: string;
  readonly namespace?: readonly string[];
  readonly workload?: readonly string[];
  readonly cluster?: readonly string[];
  readonly percentage?: number;
  readonly waves?: string;
  readonly pause?: string;
  readonly maxInFlight?: number;
  readonly manual?: boolean;
  readonly onFailure?: "Rollback" | "Pause";
  readonly maxErrorPercentMore?: string;
  readonly maxP99PercentMore?: string;
  readonly maxRefusedPercentMore?: string;
  readonly approve?: boolean;
  readonly wait: boolean;
  readonly output: OutputFormat;
}

/** Milliseconds between looks. */
const lookMs = 500;

const ended: ReadonlySet<string> = new Set(["Completed", "RolledBack", "Refused"]);

type GateValues = NonNullable<NonNullable<SidecarUpgradeSpec["strategy"]>["gates"]>;

function gatesOf({
  maxErrorPercentMore: errors,
  maxP99PercentMore: p99,
  maxRefusedPercentMore: refused,
}: UpgradeFlags) {
  const gates: GateValues = {
    ...(errors !== undefined && { maxErrorPercentMore: Number(errors) }),
    ...(p99 !== undefined && { maxP99PercentMore: Number(p99) }),
    ...(refused !== undefined && { maxRefusedPercentMore: Number(refused) }),
  };
  return gates;
}

function specOf(flags: UpgradeFlags): SidecarUpgradeSpec {
  const { envoy, renew, namespace: namespaces, workload: workloads, cluster: clusters, percentage } = flags;
  const { waves, pause, maxInFlight, manual, onFailure } = flags;
  const gates = gatesOf(flags);
  return {
    ...(envoy !== undefined && { envoy }),
    ...(renew !== undefined && { renew }),
    selector: {
      ...(clusters && { clusters }),
      ...(namespaces && { namespaces }),
      ...(workloads && { workloads }),
      ...(percentage !== undefined && { percentage }),
    },
    strategy: {
      ...(waves !== undefined && { waves: waves.split(",").map(Number) }),
      ...(pause !== undefined && { pause }),
      ...(maxInFlight !== undefined && { maxInFlight }),
      ...(manual === true && { approval: "Manual" as const }),
      ...(onFailure && { onFailure }),
      ...(Object.keys(gates).length > 0 && { gates }),
    },
  };
}

function lineOf({ status = {} }: SidecarUpgrade): string {
  const { phase = "Pending", wave = 1, done = 0, total = 0, message = "" } = status;
  return `${phase}: wave ${wave}, ${done} of ${total} sidecars${message === "" ? "" : `; ${message}`}`;
}

const text = (value: number | undefined, unit = ""): string => (value === undefined ? "-" : `${value}${unit}`);

/** The report of an upgrade: a line for each sidecar. */
function reportText({ status = {} }: SidecarUpgrade): string {
  const header = [
    "CLUSTER",
    "SIDECAR",
    "WAVE",
    "PHASE",
    "BEFORE",
    "NOW",
    "TOOK",
    "CONNECTIONS",
    "CUT",
    "FAILED",
    "PROBLEM",
  ];
  const rows = (status.sidecars ?? []).map((each) => [
    each.cluster,
    `${each.pod}.${each.namespace}`,
    text(each.wave),
    each.phase ?? "Waiting",
    each.before ?? "-",
    each.after ?? "-",
    text(each.tookMs, " ms"),
    text(each.connections),
    text(each.cut),
    text(each.failed),
    each.problem ?? "",
  ]);
  return table(header, rows);
}

/** Waits until it has ended, or waits for an approval or somebody who looks at why it is paused. */
async function followed(client: Client, name: string): Promise<SidecarUpgrade> {
  const upgrades = client.of<SidecarUpgrade>(sidecarUpgrade);
  const signal = interrupted();
  let told = "";
  for (;;) {
    const found = await upgrades.get({ name });
    const line = lineOf(found);
    if (line !== told) console.error(line);
    told = line;
    if (signal.aborted || ended.has(found.status?.phase ?? "")) return found;
    await systemClock.sleep(lookMs, signal).catch(() => undefined);
  }
}

async function begin(client: Client, name: string, flags: UpgradeFlags): Promise<void> {
  const upgrades = client.of<SidecarUpgrade>(sidecarUpgrade);
  if (flags.approve === true) {
    const { status: { wave = 1 } = {} } = await upgrades.get({ name });
    await upgrades.patch({ name }, { kind: "merge", body: { spec: { approvedWaves: wave } } });
    return;
  }
  if (flags.envoy === undefined && flags.renew === undefined) return;
  await upgrades.create({ metadata: { name }, spec: specOf(flags) });
}

async function upgrade(name: string, flags: UpgradeFlags): Promise<void> {
  using api = await openApi(flags);
  const { client } = api;
  await begin(client, name, flags);
  const asks = flags.envoy !== undefined || flags.renew !== undefined || flags.approve === true;
  const found =
    asks && flags.wait ? await followed(client, name) : await client.of<SidecarUpgrade>(sidecarUpgrade).get({ name });
  const { output } = flags;
  if (output === "json" || output === "yaml") process.stdout.write(serialize(found, output));
  else process.stdout.write(`${lineOf(found)}\n${reportText(found)}`);
  const { phase = "", message = "" } = found.status ?? {};
  if (asks && (phase === "Refused" || phase === "RolledBack"))
    throw new WeftError("FailedPrecondition", `the upgrade ${name} is ${phase}: ${message}`);
}

/** `weft sidecar upgrade`. */
export function upgradeCommand(group: Command): void {
  withApiFlags(group.command("upgrade"))
    .summary("replace the Envoy of sidecars while they serve, and see how it goes")
    .description(
      "Makes a SidecarUpgrade, which has sidecars of nodes' agents replaced in waves without a restart of their Pods, and follows it to its end. Without --envoy and --renew it shows the report of one.",
    )
    .argument("<name>", "the upgrade's name")
    .option("--envoy <version>", "the version that they are to have, such as 1.40.0")
    .option("--renew <word>", "have those begin anew that have not for this word, with the settings of now")
    .option("-n, --namespace <name>", "only those of a namespace; may be repeated", collected)
    .option("-w, --workload <name>", "only those of a workload; may be repeated", collected)
    .option("--cluster <name>", "only those of a cluster; may be repeated", collected)
    .option("--percentage <percent>", "only a share of them", wholeNumber(1, 100))
    .option("--waves <percents>", "how many are upgraded after each wave (default: 10,50,100)")
    .option("--pause <duration>", "how long each wave is watched (default: 10s)")
    .option("--max-in-flight <count>", "how many at a time (default: 5)", wholeNumber(1, 1000))
    .option("--manual", "each wave waits for --approve")
    .option("--approve", "let the wave begin that waits")
    .addOption(new Option("--on-failure <what>", "what follows a failure").choices(["Rollback", "Pause"]))
    .option("--max-error-percent-more <percent>", "5xx that upgraded sidecars may answer beyond the others")
    .option("--max-p99-percent-more <percent>", "how much longer their P99 may be than that of the others")
    .option("--max-refused-percent-more <percent>", "how many may refuse configuration beyond the others")
    .option("--no-wait", "do not follow it")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText(
      "after",
      "\nExamples:\n  weft sidecar upgrade tuesday --envoy 1.40.0 -n shop\n  weft sidecar upgrade tuesday\n  weft sidecar upgrade settings --renew monday -w cart --waves 100",
    )
    .action(upgrade);
}

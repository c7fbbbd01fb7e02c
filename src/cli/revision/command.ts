import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { removeReports, removeRevision, usesOf } from "#controllers/revisions/remove.ts";
import { readRevisionsOf, type Revision } from "#controllers/revisions/state.ts";
import { installNames, nameOfRevision } from "#controllers/install/options.ts";
import { pod as podKind } from "#api/kubernetes/pod.ts";
import { revisionLabel } from "#api/weft/revisions.ts";
import { interrupted } from "../cluster/progress.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { type OutputFormat, outputOption, serialize, wholeNumber } from "../output.ts";
import { table } from "../table.ts";
import { waitUntil } from "../wait.ts";
import { finishCommand, moveCommand, rollbackCommand } from "./moves.ts";
import { tagCommand } from "./tag.ts";

/** A revision for programs. */
function dataOf({ name, ready, wanted, reports, tags, namespaces }: Revision): object {
  const sum = (of: "connected" | "inSync"): number => reports.reduce((all, report) => all + report[of], 0);
  return {
    name,
    ready,
    wanted,
    versions: [...new Set(reports.map(({ version }) => version))],
    tags: tags.map(({ tag }) => tag),
    namespaces,
    proxies: sum("connected"),
    inSync: sum("inSync"),
    findings: Math.max(0, ...reports.map(({ findingCount }) => findingCount)),
  };
}

/** Namespaces that a table names; others are counted. */
const mostNamed = 5;

function rowOf({ name, ready, wanted, reports, tags, namespaces }: Revision, serving: string): readonly string[] {
  const connected = reports.reduce((sum, report) => sum + report.connected, 0);
  const more = namespaces.length - mostNamed;
  const versions = [...new Set(reports.map(({ version }) => version))].join(",");
  const tagNames = tags.map(({ tag }) => tag);
  const named = name === serving && !tagNames.includes("default") ? ["(default)", ...tagNames] : tagNames;
  return [
    name,
    versions === "" ? "-" : versions,
    `${ready}/${wanted}`,
    named.length === 0 ? "-" : named.join(","),
    reports.length === 0 ? "-" : String(connected),
    namespaces.slice(0, mostNamed).join(",") + (more > 0 ? ` and ${more} more` : ""),
  ];
}

function listCommand(group: Command): void {
  withApiFlags(group.command("list"))
    .summary("list revisions, and who follows them")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft revision list\n  weft revision list -o json")
    .action(async (flags: ApiFlags & { readonly output: OutputFormat }) => {
      using api = await openApi(flags);
      const { revisions, serving } = await readRevisionsOf(api.client, systemClock.now());
      const { output } = flags;
      if (output === "json" || output === "yaml") process.stdout.write(serialize(revisions.map(dataOf), output));
      else if (revisions.length === 0) console.log("no control plane is installed in this cluster: weft install");
      else {
        const rows = revisions.map((each) => rowOf(each, serving));
        process.stdout.write(table(["REVISION", "VERSION", "READY", "TAGS", "PROXIES", "NAMESPACES"], rows));
      }
    });
}

async function remove(name: string, { timeout, ...flags }: ApiFlags & { readonly timeout: number }): Promise<void> {
  const signal = interrupted();
  using api = await openApi(flags);
  const { client } = api;
  const known = await readRevisionsOf(client, systemClock.now());
  const uses = await usesOf(client, known, name);
  if (uses.length > 0) {
    const all = uses.map((each) => `  ${each}`).join("\n");
    throw new WeftError("FailedPrecondition", `revision ${name} is not removed:\n${all}`);
  }
  await removeRevision(client, known, name);
  const { namespace, discovery } = installNames;
  const labelSelector = `app=${discovery},${revisionLabel}=${name}`;
  const ended = async (): Promise<boolean> =>
    (await client.of(podKind).list({ namespace, labelSelector })).items.length === 0;
  const what = `the Pods of ${nameOfRevision(discovery, name)} have ended`;
  const hint = `kubectl get pods -n ${namespace} shows what still runs`;
  await waitUntil({ what, limitMs: timeout * 1000, hint }, systemClock, signal, ended);
  await removeReports(client, name);
  console.log(`revision ${name} is removed`);
}

function removeCommand(group: Command): void {
  withApiFlags(group.command("remove"))
    .summary("remove a revision that nobody is on")
    .argument("<revision>", "the revision")
    .description(
      "Removes a revision of the control plane. Refused, with what keeps it, while tags, namespaces, Pods that it injected or proxies are on it.",
    )
    .option("--timeout <seconds>", "how long its Pods may take to end", wholeNumber(1, 3600), 120)
    .addHelpText("after", "\nExample:\n  weft revision remove default")
    .action(remove);
}

/** `weft revision` and what belongs to it. */
export function revisionCommand(program: Command): void {
  const group = program
    .command("revision")
    .summary("upgrade a control plane that weft install made, by a second one beside it")
    .description("Revisions of the control plane of proxies, side by side in a cluster, and whom each of them serves.");
  listCommand(group);
  moveCommand(group);
  rollbackCommand(group);
  finishCommand(group);
  removeCommand(group);
  tagCommand(group);
}

import { Option, type Command } from "commander";
import { stringify } from "yaml";
import { diffMesh } from "#analysis/diff.ts";
import { openMesh } from "#analysis/snapshot.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import { loadRegistry } from "#proto/registry.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { type OutputFormat, outputOption, serialize } from "../output.ts";
import { diffData, diffText } from "./diff-text.ts";
import { type EditFlags, rehearsedEdit } from "./edit.ts";
import { proxiesNamed, readMesh } from "./live-mesh.ts";
import { paintFor } from "./paint.ts";
import { resourceJson } from "./resource-text.ts";

interface DiffFlags extends ApiFlags, EditFlags {
  readonly proxy?: readonly string[];
  readonly summary?: boolean;
  readonly full?: boolean;
  readonly output: OutputFormat;
}

async function runDiff(flags: DiffFlags): Promise<void> {
  using api = await openApi(flags);
  using live = await readMesh(api.client);
  const edit = await rehearsedEdit(flags, api, live);
  const proxies = flags.proxy === undefined ? live.proxies : proxiesNamed(live, flags.proxy);
  const diff = diffMesh(openMesh(live.snapshot), live.snapshot, proxies, edit);
  const registry = loadRegistry();
  const json = (resource: EncodedResource): object => resourceJson(resource, registry);
  const { output } = flags;
  const text =
    output === "json" || output === "yaml"
      ? serialize(diffData(diff, json), output)
      : diffText(diff, proxies.length, {
          yaml: (resource) => stringify(json(resource), { lineWidth: 0, aliasDuplicateObjects: false }),
          paint: paintFor(process.stdout),
          detail: flags.summary === true ? "summary" : flags.full === true ? "full" : "changes",
        });
  process.stdout.write(text);
  if (diff.changes.length > 0) process.exitCode = 1;
}

/** `weft diff`: what a change would do to proxies, before anything is applied. */
export function diffCommand(program: Command): void {
  withApiFlags(program.command("diff"))
    .summary("show what a change would do to proxies, before it is applied")
    .description(
      "Shows which proxies' listeners, routes, clusters and endpoints would change, and how, if the objects of the files " +
        "were applied. Nothing is written. Ends with 0 when no proxy would change, 1 when some would, 2 on wrong use.",
    )
    .requiredOption("-f, --filename <file...>", "files with the objects as they would be; - is standard input")
    .option("-n, --namespace <name>", "namespace of objects that name none")
    .option("--delete", "as if the objects of the files were deleted")
    .option("--cluster <name>", "the member cluster that Services and the like of the files belong to")
    .option("--proxy <name...>", "only these proxies: pod.namespace, Pod or workload")
    .addOption(new Option("--summary", "only who would change, not how"))
    .addOption(new Option("--full", "every line of what would be added or removed, too").conflicts("summary"))
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText(
      "after",
      "\nExamples:\n  weft diff -f reviews-90-10.yaml\n  weft diff -f reviews-90-10.yaml --proxy page --summary\n  weft diff --delete -f fault.yaml\n  weft diff --cluster east -f service.yaml -o json",
    )
    .action(runDiff);
}

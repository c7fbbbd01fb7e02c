import { Option, type Command } from "commander";
import { type ApiFlags, withApiFlags } from "../context.ts";
import { type OutputFormat, outputOption } from "../output.ts";
import type { EditFlags } from "./edit.ts";

/** Flags of `weft diff`. */
export interface DiffFlags extends ApiFlags, EditFlags {
  readonly proxy?: readonly string[];
  readonly summary?: boolean;
  readonly full?: boolean;
  readonly output: OutputFormat;
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
    .action(async (flags: DiffFlags) => {
      const { runDiff } = await import("./run-diff.ts");
      await runDiff(flags);
    });
}

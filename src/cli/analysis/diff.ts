import { Option, type Command } from "commander";
import { WeftError } from "#base/errors.ts";
import { type ApiFlags, withApiFlags } from "../context.ts";
import { type OutputFormat, outputOption, wholeNumber } from "../output.ts";
import type { EditFlags } from "./edit.ts";

/** Flags of `weft diff`. */
export interface DiffFlags extends ApiFlags, EditFlags {
  readonly proxy?: readonly string[];
  readonly summary?: boolean;
  readonly full?: boolean;
  readonly output: OutputFormat;
}

/** Flags as commander gives them: either files, or an object and a revision of it. */
type GivenFlags = Omit<DiffFlags, "filename"> & {
  readonly filename?: DiffFlags["filename"];
  readonly at?: number;
  readonly namespace?: string;
};

async function showRevision(object: string, flags: GivenFlags): Promise<void> {
  if (flags.at === undefined || flags.filename !== undefined) {
    throw new WeftError("InvalidArgument", "an object is compared with a revision of it: give --at, and no -f");
  }
  const [{ diffAt }, { paintFor }] = await Promise.all([import("../history/diff-at.ts"), import("./paint.ts")]);
  const text = await diffAt(object, flags.at, flags, paintFor(process.stdout));
  process.stdout.write(text);
  if (text !== "") process.exitCode = 1;
}

/**
 * `weft diff`: what a change would do to proxies, before anything is applied; or what an object and a revision of it differ
 * in.
 */
export function diffCommand(program: Command): void {
  withApiFlags(program.command("diff"))
    .summary("show what a change would do to proxies, before it is applied, or what was changed of an object")
    .description(
      "Shows which proxies' listeners, routes, clusters and endpoints would change, and how, if the objects of the files " +
        "were applied. Nothing is written. Ends with 0 when no proxy would change, 1 when some would, 2 on wrong use.\n\n" +
        "With an object and --at it shows what the object as that revision left it and the object now differ in.",
    )
    .argument("[object]", "with --at: KIND/NAME, such as virtualservice/reviews")
    .option("--at <revision>", "a revision of the object, from weft history", wholeNumber(1, Number.MAX_SAFE_INTEGER))
    .option("-f, --filename <file...>", "files with the objects as they would be; - is standard input")
    .option("-n, --namespace <name>", "namespace of objects that name none")
    .option("--delete", "as if the objects of the files were deleted")
    .option("--cluster <name>", "the member cluster that Services and the like of the files belong to")
    .option("--proxy <name...>", "only these proxies: pod.namespace, Pod or workload")
    .addOption(new Option("--summary", "only who would change, not how"))
    .addOption(new Option("--full", "every line of what would be added or removed, too").conflicts("summary"))
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText(
      "after",
      "\nExamples:\n  weft diff -f reviews-90-10.yaml\n  weft diff -f reviews-90-10.yaml --proxy page --summary\n  weft diff --delete -f fault.yaml\n  weft diff --cluster east -f service.yaml -o json\n  weft diff vs/reviews -n shop --at 1204",
    )
    .action(async (object: string | undefined, flags: GivenFlags) => {
      if (object !== undefined) return showRevision(object, flags);
      const { filename, at, ...rest } = flags;
      if (filename === undefined || at !== undefined) {
        throw new WeftError("InvalidArgument", "give files with -f, or an object with --at");
      }
      const { runDiff } = await import("./run-diff.ts");
      return runDiff({ ...rest, filename });
    });
}

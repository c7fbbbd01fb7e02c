import type { Command } from "commander";
import { type OutputFormat, outputOption, serialize } from "../output.ts";
import { table } from "../table.ts";
import { openHistory, withObjectFlags, type ObjectFlags, type ObjectRecord } from "./records.ts";

interface HistoryFlags extends ObjectFlags {
  readonly all?: boolean;
  readonly output: OutputFormat;
}

function row({ revision, time, by, object, minor }: ObjectRecord): readonly string[] {
  const verb = by?.verb ?? (object === undefined ? "" : "(before)");
  const user = by?.impersonator === undefined ? by?.user : `${by.user} (by ${by.impersonator})`;
  return [revision, time, user ?? "", minor ? verb : verb.replace(/^$/, "-"), by?.agent ?? ""];
}

/** `weft history`: who wrote an object. */
export function historyCommand(program: Command): void {
  withObjectFlags(program.command("history"))
    .summary("show who wrote an object, when and how")
    .description(
      "Shows the writes of an object, the newest first: the revision that each made, when, by whom, how, and with what program. Objects that are gone have theirs for a while. The server keeps it for as long as its --history-days says.",
    )
    .argument("<object>", "KIND/NAME, such as virtualservice/reviews")
    .option("--all", "also writes of its status")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft history vs/reviews -n shop\n  weft history vs/reviews -n shop -o yaml")
    .action(async (text: string, flags: HistoryFlags) => {
      using history = await openHistory(text, flags);
      const shown = history.records.filter(({ minor }) => flags.all === true || !minor).toReversed();
      const { output } = flags;
      process.stdout.write(
        output === "json" || output === "yaml"
          ? serialize(shown, output)
          : table(["REVISION", "TIME", "USER", "VERB", "PROGRAM"], shown.map(row)),
      );
    });
}

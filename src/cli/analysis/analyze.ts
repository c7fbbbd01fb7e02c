import { Option, type Command } from "commander";
import { type Level, levels } from "#api/message-types.ts";
import { WeftError } from "#base/errors.ts";
import { type ApiFlags, withApiFlags } from "../context.ts";
import { collected } from "../output.ts";

/** Flags of `weft analyze`. */
export interface AnalyzeFlags extends ApiFlags {
  readonly useKube: string | boolean;
  readonly namespace?: string;
  readonly allNamespaces?: boolean;
  readonly cluster?: string;
  readonly output: "log" | "table" | "json" | "yaml";
  readonly failureThreshold: Level;
  readonly outputThreshold: Level;
  readonly suppress: readonly string[];
  readonly analyzer: readonly string[];
  readonly listAnalyzers?: boolean;
  readonly ignoreUnknown?: boolean;
  readonly fix?: boolean;
}

/** Reads a level in any case. */
function level(text: string): Level {
  const found = levels.find((each) => each.toLowerCase() === text.toLowerCase());
  if (found) return found;
  throw new WeftError("InvalidArgument", `there is no level ${text}; write ${levels.join(", ")}`);
}

/** `weft analyze`: what is wrong with the mesh's objects, or would be with those of files. */
export function analyzeCommand(program: Command): void {
  withApiFlags(program.command("analyze"))
    .summary("find mistakes in the mesh's objects, or in files before they are applied")
    .description(
      "Says what is wrong with the objects of the mesh, with the files' objects in their places; or with the files alone.\n" +
        "Messages, flags and exit codes are those of istioctl analyze: 0 when nothing is as bad as the failure threshold,\n" +
        "79 when something is, 65 when a file cannot be read; with -o json and yaml always 0.",
    )
    .argument("[files...]", "files and directories; - is standard input")
    .option("-k, --use-kube [bool]", "look at the live mesh too; --use-kube=false takes the files alone", "true")
    .option("-n, --namespace <name>", "only objects of this namespace; also that of files' objects that name none")
    .option("-A, --all-namespaces", "objects of all namespaces")
    .option("--cluster <name>", "the member cluster that Services and the like of the files belong to")
    .addOption(
      new Option("-o, --output <format>", "how to print").choices(["log", "table", "json", "yaml"]).default("log"),
    )
    .option("--failure-threshold <level>", "how bad a message must be to end with an error", level, "Error")
    .option("--output-threshold <level>", "how bad a message must be to be shown", level, "Info")
    .option("-S, --suppress <code=object>", 'leave out messages, such as "IST0103=Pod *.shop"', collected, [])
    .option("--analyzer <name>", "run only this analyzer; again for each", collected, [])
    .option("-L, --list-analyzers", "list the analyzers")
    .option("-R, --recursive", "as ever: directories are read with all below them")
    .option("--ignore-unknown", "files that cannot be read are no error")
    .option("--fix", "print commands that repair what can be repaired; nothing is applied")
    .addHelpText(
      "after",
      '\nExamples:\n  weft analyze -A\n  weft analyze virtualservice.yaml my-app-config/\n  weft analyze --use-kube=false my-app-config/\n  weft analyze -S "IST0118=Service *.legacy" -A\n  weft analyze --fix -n shop',
    )
    .action(async (files: readonly string[], flags: AnalyzeFlags) => {
      const { runAnalyze } = await import("./run-analyze.ts");
      await runAnalyze(files, flags);
    });
}

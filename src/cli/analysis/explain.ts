import type { Command } from "commander";
import { type ApiFlags, withApiFlags } from "../context.ts";
import { collected, type OutputFormat, outputOption } from "../output.ts";

/** Flags of `weft explain request`. */
export interface ExplainFlags extends ApiFlags {
  readonly from: string;
  readonly header?: readonly string[];
  readonly filename?: readonly string[];
  readonly namespace?: string;
  readonly cluster?: string;
  readonly output: OutputFormat;
}

/** `weft explain request`: the way of a request, and what decided it. */
export function explainCommand(program: Command): void {
  const group = program
    .command("explain")
    .summary("explain what becomes of a request, and which lines of which objects decide it")
    .addHelpText("after", "\nExamples:\n  weft explain request --from page GET http://reviews:9080/api/reviews/1");
  withApiFlags(group.command("request"))
    .summary("the way of a request through the mesh")
    .description(
      "Shows the listener, virtual host, route, cluster and endpoints that a request would meet, and which fields of which " +
        "objects decided each. Nothing is sent. With -f, as it would be if the objects of the files were applied.",
    )
    .argument("<method>", "GET, POST, ...")
    .argument("<url>", "as the program writes it: http://reviews:9080/api/reviews/1")
    .requiredOption(
      "--from <workload>",
      "who sends it: pod.namespace, Pod or workload; for a gateway, what arrives there",
    )
    .option("-H, --header <name: value>", "a header; again for each", collected)
    .option(
      "-f, --filename <file>",
      "a file with objects as if they were applied, - for standard input; again for each",
      collected,
    )
    .option("-n, --namespace <name>", "namespace of objects of the files that name none")
    .option("--cluster <name>", "the member cluster that Services and the like of the files belong to")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText(
      "after",
      '\nExamples:\n  weft explain request --from page GET http://reviews:9080/api/reviews/1\n  weft explain request --from page GET http://reviews:9080/ -H "end-user: jason" -o json\n  weft explain request --from istio-ingressgateway GET http://localhost/api/page\n  weft explain request --from page GET http://reviews:9080/ -f reviews-90-10.yaml',
    )
    .action(async (method: string, url: string, flags: ExplainFlags) => {
      const { runExplain } = await import("./run-explain.ts");
      await runExplain(method, url, flags);
    });
}

import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import type { Credential } from "#server/credential.ts";
import { collected, wholeNumber } from "./output.ts";

/** `weft credentials`. */
export function credentialsCommand(program: Command): void {
  program
    .command("credentials")
    .summary("make a user's kubeconfig for a server of this machine")
    .description(
      "Signs a client certificate with the key of an API of this machine's server, and prints a kubeconfig that has it. Whoever can read the server's state folder can do that.",
    )
    .argument("<api>", "which API: mesh, or a cluster's name")
    .requiredOption("--state-dir <folder>", "the server's --state-dir")
    .requiredOption("--server <url>", "where the API is, https://... or unix://...")
    .requiredOption("--user <name>", "the user; system:node:NAME for a node's agent")
    .option("--group <name>", "a group of the user; may be repeated", collected, [])
    .option("--days <number>", "how long the certificate is good", wholeNumber(1, 3650), 365)
    .option("--namespace <name>", "the namespace that commands mean", "default")
    .addHelpText(
      "after",
      "\nExamples:\n  weft credentials east --state-dir /var/lib/weft/demo/api --server https://127.0.0.1:16442 --user ada --group dev\n  weft credentials east --state-dir /var/lib/weft/demo/api --server unix:///run/weft/demo/api-east.sock --user system:node:east-1 --group system:nodes",
    )
    .action(async (endpoint: string, flags: Credential) => {
      const { formatKubeconfig } = await import("#kube/kubeconfig.ts");
      const { credentialContext } = await import("#server/credential.ts");
      process.stdout.write(formatKubeconfig([await credentialContext(endpoint, flags, systemClock)]));
    });
}

import { join } from "node:path";
import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import type { KubeContext } from "#kube/kubeconfig.ts";
import { collected, wholeNumber } from "./output.ts";

/** Whose credential is made, and for what. */
export interface CredentialsFlags {
  /** The server's `--state-dir`. */
  readonly stateDir: string;
  /** Where the API is, `https://...` or `unix://...`. */
  readonly server: string;
  readonly user: string;
  readonly group: readonly string[];
  /** How long the certificate is good. */
  readonly days: number;
  /** What commands mean where none is given. */
  readonly namespace: string;
}

const dayMs = 24 * 3600_000;

/**
 * A kubeconfig's context for a user of an API (`mesh`, or a cluster's name), with a new certificate of the API's authority,
 * which is made where there is none.
 * @throws WeftError as `Authority.open`.
 */
export async function credentialContext(endpoint: string, flags: CredentialsFlags): Promise<KubeContext> {
  const { Authority } = await import("#apiserver/pki/authority.ts");
  const { Revocations } = await import("#apiserver/pki/revocations.ts");
  const { stateDir, server, user, group, days, namespace } = flags;
  const authority = Authority.open(join(stateDir, endpoint), endpoint, systemClock);
  // One of the second in which others of the user were revoked would be taken for one of these.
  const wait = Revocations.open(join(stateDir, endpoint)).free(user) - systemClock.now();
  if (wait > 0) await systemClock.sleep(wait);
  const { certificate, key } = authority.issueClient({ name: user, groups: group }, days * dayMs);
  const name = `weft-${endpoint}`;
  const address = { url: server, ca: authority.certificate, certificate, key };
  // A Unix socket has no name; the certificate has this one.
  const serverName = server.startsWith("unix:") ? { serverName: "localhost" } : {};
  return { name, cluster: name, user, namespace, server: { ...address, ...serverName } };
}

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
    .action(async (endpoint: string, flags: CredentialsFlags) => {
      const { formatKubeconfig } = await import("#kube/kubeconfig.ts");
      process.stdout.write(formatKubeconfig([await credentialContext(endpoint, flags)]));
    });
}

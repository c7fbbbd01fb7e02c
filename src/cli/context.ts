import { existsSync } from "node:fs";
import { Option, type Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { readKubeconfig } from "#kube/kubeconfig.ts";
import { layoutOf } from "./demo/layout.ts";

/** Flags by which a command finds its API. */
export interface ApiFlags {
  readonly kubeconfig?: string;
  readonly context?: string;
}

/** An API to talk to and the namespace that commands mean. */
export interface ApiContext extends Disposable {
  readonly client: Client;
  readonly namespace: string;
}

/** Adds the flags to a command. */
export function withApiFlags(command: Command): Command {
  return command
    .addOption(
      new Option("--kubeconfig <file>", "kubeconfig of the API; else $KUBECONFIG, else the running demo's mesh"),
    )
    .addOption(new Option("--context <name>", "context of the kubeconfig; the current one unless given"));
}

function kubeconfigPath(flags: ApiFlags): string {
  const fromEnvironment = process.env["KUBECONFIG"]?.split(":").find((path) => path !== "");
  const path = flags.kubeconfig ?? fromEnvironment ?? layoutOf("demo").kubeconfig("mesh");
  if (flags.kubeconfig === undefined && fromEnvironment === undefined && !existsSync(path)) {
    throw new WeftError(
      "FailedPrecondition",
      "no API to talk to: give --kubeconfig, set KUBECONFIG, or start the demo (make demo)",
    );
  }
  return path;
}

/**
 * Opens the API that flags and environment name.
 * @throws WeftError that says what to give.
 */
export async function openApi(flags: ApiFlags): Promise<ApiContext> {
  const { server, namespace } = await readKubeconfig(kubeconfigPath(flags), flags.context);
  const connection = new Connection(server, { clock: systemClock });
  return { client: new Client(connection), namespace, [Symbol.dispose]: () => connection[Symbol.dispose]() };
}

import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { Installer } from "#controllers/install/installer.ts";
import { installNames } from "#controllers/install/options.ts";
import { checkUnmanaged } from "#controllers/install/mark.ts";
import { removeInstallation, removeInstalledNamespace } from "#controllers/install/removal.ts";
import { interrupted, waiting } from "../cluster/progress.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { wholeNumber } from "../output.ts";
import { waitUntil } from "../wait.ts";
import { checkUnused } from "./users.ts";

interface Flags extends ApiFlags {
  readonly force?: boolean;
  readonly timeout: number;
}

async function uninstall({ force = false, timeout, ...flags }: Flags): Promise<void> {
  const signal = interrupted();
  using api = await openApi(flags);
  const { client } = api;
  const { namespace } = installNames;
  const installer = new Installer(client);
  if (!(await installer.found())) console.log("nothing is installed but perhaps traces, which are removed");
  if (!force) {
    await checkUnmanaged(client);
    await checkUnused(client);
  }
  const limitMs = timeout * 1000;
  const hint = `kubectl get pods -n ${namespace} shows what still runs; the same command again goes on`;
  console.log("  ... removing what was installed, and what the control plane wrote");
  await removeInstallation(client, async ({ what, holds }) => {
    console.log(`  ... until ${what}`);
    await waitUntil({ what, limitMs, hint }, systemClock, signal, holds);
  });
  const stays = await removeInstalledNamespace(client);
  if (stays !== undefined) waiting(stays);
  console.log("Weft is uninstalled");
}

/** `weft uninstall`. */
export function uninstallCommand(program: Command): void {
  withApiFlags(program.command("uninstall"))
    .summary("remove a control plane that weft install made")
    .description(
      "Removes everything that weft install made and what the control plane wrote into the cluster, the mesh's objects and keys with it. Refused while Pods have a proxy.",
    )
    .option("--force", "remove it though Pods have a proxy")
    .option("--timeout <seconds>", "how long the control plane may take to end", wholeNumber(1, 3600), 120)
    .addHelpText("after", "\nExample:\n  weft uninstall --kubeconfig ~/.kube/config")
    .action(uninstall);
}

import type { Command } from "commander";
import { type Pod, pod as podKind } from "#api/kubernetes/pod.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { Installer } from "#controllers/install/installer.ts";
import { installNames } from "#controllers/install/options.ts";
import { checkUnmanaged } from "#controllers/install/mark.ts";
import { removeInstallation, removeInstalledNamespace } from "#controllers/install/removal.ts";
import type { Client } from "#kube/client.ts";
import { interrupted, waiting } from "../cluster/progress.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { wholeNumber } from "../output.ts";
import { waitUntil } from "../wait.ts";

interface Flags extends ApiFlags {
  readonly force?: boolean;
  readonly timeout: number;
}

/** Pods that run with a proxy, which would lose the mesh. */
async function injectedPods(client: Client): Promise<readonly Pod[]> {
  const { items } = await client.of<Pod>(podKind).list();
  return items.filter(({ metadata, status }) => {
    const runs = status?.phase === "Running" || status?.phase === "Pending";
    return runs && metadata.annotations?.["sidecar.istio.io/status"] !== undefined;
  });
}

/** @throws WeftError `FailedPrecondition` where Pods would lose the mesh. */
async function checkUnused(client: Client): Promise<void> {
  const pods = await injectedPods(client);
  const [first] = pods;
  if (!first) return;
  const named = `${first.metadata.namespace ?? ""}/${first.metadata.name}`;
  throw new WeftError(
    "FailedPrecondition",
    `${pods.length} Pods have a proxy that would lose the mesh, ${named} among them: take the label istio-injection from their namespaces and restart them, or give --force`,
  );
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
  await removeInstallation(client, async ({ what, holds }) =>
    waitUntil({ what, limitMs, hint }, systemClock, signal, holds),
  );
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

import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { stringify } from "yaml";
import { kinds } from "#api/kinds.ts";
import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { type Existing, obstacles } from "#controllers/aggregation/obstacles.ts";
import { Installer } from "#controllers/install/installer.ts";
import { type InstallStage, installStages } from "#controllers/install/manifests.ts";
import { type InstallAuthority, installNames } from "#controllers/install/options.ts";
import { becomeReady } from "#controllers/install/readiness.ts";
import { apiService, definitionKind } from "#controllers/install/resources.ts";
import { mutatingWebhooks } from "#injection/webhook-configuration.ts";
import type { Client } from "#kube/client.ts";
import type { KnownKeys, MadeKeys } from "#server/install-keys.ts";
import { interrupted, waiting } from "../cluster/progress.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { wholeNumber } from "../output.ts";
import { type InstallFlags, optionsOf, withInstallFlags } from "./flags.ts";

interface Flags extends InstallFlags, ApiFlags {
  readonly print?: boolean;
  readonly adminKubeconfig?: string;
  readonly timeout: number;
}

function textIn(found: Secret | undefined, key: string): string | undefined {
  const data = found?.data?.[key];
  return data === undefined ? undefined : Buffer.from(data, "base64").toString("utf8");
}

/** The keys that an earlier installation made. */
async function knownKeys(client: Client): Promise<KnownKeys> {
  const { namespace, keys: keysName, client: clientName } = installNames;
  const secrets = client.of<Secret>(secretKind);
  const [keys, access] = await Promise.all([keysName, clientName].map((name) => secrets.find({ namespace, name })));
  const authority = (name: string): InstallAuthority | undefined => {
    const [certificate, key] = [textIn(keys, `${name}-ca.crt`), textIn(keys, `${name}-ca.key`)];
    return certificate === undefined || key === undefined ? undefined : { certificate, key };
  };
  const [mesh, members, discovery] = [authority("mesh"), authority("members"), textIn(access, "kubeconfig")];
  // A kubeconfig of another authority is of no use.
  return { ...(mesh && { mesh }), ...(members && { members }), ...(mesh && discovery !== undefined && { discovery }) };
}

/** @throws WeftError `FailedPrecondition` where the cluster has Istio's kinds by itself. */
async function checkKinds(client: Client, cluster: string): Promise<void> {
  const [definitions, apiServices] = await Promise.all(
    [definitionKind, apiService].map(async (kind) => (await client.of(kind).list()).items),
  );
  const existing: Existing = { definitions: definitions ?? [], apiServices: apiServices ?? [] };
  const found = obstacles(cluster, kinds, existing);
  if (found.length === 0) return;
  const lines = found.map(({ resource, message }) => `  ${resource.kind} ${resource.name}: ${message}`);
  throw new WeftError(
    "FailedPrecondition",
    `the cluster has kinds of Istio's already; nothing was changed:\n${lines.join("\n")}`,
  );
}

/** Keys that an install needs, those that there are among them. */
async function keysFor(known: KnownKeys): Promise<MadeKeys> {
  const { installKeys } = await import("#server/install-keys.ts");
  return installKeys(known, systemClock);
}

function stagesOf(flags: Flags, keys: MadeKeys["keys"]): readonly InstallStage[] {
  const { cluster, network } = flags;
  const injector = mutatingWebhooks({ revision: "default", namespace: installNames.namespace, cluster, network });
  return installStages({ ...optionsOf(flags), keys }, [injector]);
}

async function print(flags: Flags): Promise<void> {
  const { keys } = await keysFor({});
  for (const { title, objects } of stagesOf(flags, keys)) {
    console.log(`# ${title}`);
    for (const object of objects)
      process.stdout.write(`---\n${stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })}`);
  }
}

async function install(flags: Flags): Promise<void> {
  optionsOf(flags);
  if (flags.print === true) return print(flags);
  const signal = interrupted();
  using api = await openApi(flags);
  const { client } = api;
  await checkKinds(client, flags.cluster);
  const { keys, administrator } = await keysFor(await knownKeys(client));
  const stages = stagesOf(flags, keys);
  const all = stages.flatMap(({ objects }) => objects);
  const installer = new Installer(client);
  await installer.check(all);
  const patience = { clock: systemClock, limitMs: flags.timeout * 1000, told: waiting, signal };
  for (const { title, objects } of stages) {
    console.log(`  ... ${title}`);
    await installer.apply(objects);
    await becomeReady(client, objects, patience);
    console.log(`  ok  ${title}`);
  }
  await installer.prune(all);
  if (flags.adminKubeconfig !== undefined) writeFileSync(flags.adminKubeconfig, administrator, { mode: 0o600 });
  console.log("Weft is installed: kubectl label namespace NAME istio-injection=enabled gives its new Pods a proxy");
}

/** `weft install`. */
export function installCommand(program: Command): void {
  withInstallFlags(withApiFlags(program.command("install")))
    .summary("install a mesh's control plane into a cluster")
    .description(
      "Installs a control plane that stands alone: the mesh's API, the control plane of proxies and what injects them run in the cluster itself, in the namespace istio-system. The cluster's API serves Istio's kinds. The same command again changes what is installed to what its flags say.",
    )
    .option("--print", "print all objects as YAML for kubectl apply, with new keys, and change nothing")
    .option(
      "--admin-kubeconfig <file>",
      "write a kubeconfig of an administrator of the mesh, for kubectl port-forward -n istio-system service/weft-server 16440",
    )
    .option("--timeout <seconds>", "how long each part may take to serve", wholeNumber(1, 3600), 300)
    .addHelpText(
      "after",
      "\nExamples:\n  weft install --image registry.example/weft:1.0\n  weft install --image registry.example/weft:1.0 --store etcds://etcd.example:2379/weft --store-secret weft-etcd\n  weft install --image registry.example/weft:1.0 --print > weft.yaml",
    )
    .action(install);
}

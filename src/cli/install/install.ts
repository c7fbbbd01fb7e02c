import { writeFileSync } from "node:fs";
import type { Command } from "commander";
import { stringify } from "yaml";
import { type Deployment, deployment as deploymentKind } from "#api/kubernetes/deployment.ts";
import { defaultRevisionName, revisionLabel } from "#api/weft/revisions.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { Installer } from "#controllers/install/installer.ts";
import { asleep, tagsOf } from "#controllers/revisions/tags.ts";
import { type InstallStage, installStages, revisionStages } from "#controllers/install/manifests.ts";
import { checkKinds } from "#controllers/install/kinds-check.ts";
import { knownKeys } from "#controllers/install/known-keys.ts";
import { checkUnmanaged } from "#controllers/install/mark.ts";
import { placesAt, placesOf } from "#controllers/install/members.ts";
import type { InstallObject } from "#controllers/install/object.ts";
import { type MembersPlaces, installNames } from "#controllers/install/options.ts";
import { type Patience, becomeReady } from "#controllers/install/readiness.ts";
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

/** Keys that an install needs, those that there are among them. */
async function keysFor(known: KnownKeys): Promise<MadeKeys> {
  const { installKeys } = await import("#server/install-keys.ts");
  return installKeys(known, systemClock);
}

function stagesOf(flags: Flags, keys: MadeKeys["keys"] | undefined, places?: MembersPlaces): readonly InstallStage[] {
  const { cluster, network } = flags;
  const options = { ...optionsOf(flags), ...(places && { places }) };
  const { revision } = options;
  const injector = mutatingWebhooks({ revision, namespace: installNames.namespace, cluster, network });
  return keys ? installStages({ ...options, keys }, [injector]) : revisionStages(options, [injector]);
}

/** Whether a revision beside the installed one is meant. */
function isBeside({ revision = "default" }: Flags): boolean {
  return revision !== "default";
}

/** @throws WeftError `FailedPrecondition` where there is nothing that a revision could stand beside. */
async function checkInstalled(client: Client, { cluster }: Flags): Promise<void> {
  const { namespace, server } = installNames;
  const found = await client.of<Deployment>(deploymentKind).find({ namespace, name: server });
  if (!found) {
    throw new WeftError("FailedPrecondition", "--revision is for a second control plane: weft install makes the first");
  }
  const args = found.spec.template.spec.containers.flatMap(({ command = [] }) => command);
  const member = args.find((arg) => arg.startsWith("--member="));
  const [, name = ""] = /^--member=([^=]+)=/.exec(member ?? "") ?? [];
  if (name === cluster) return;
  throw new WeftError("InvalidArgument", `--cluster ${cluster}: the installation calls this cluster ${name}`);
}

/**
 * What is made of an installation whose first revision does not serve everybody any more: its webhooks ask for nobody while there is a tag
 * `default`, and when it was removed it stays away.
 * @returns the stages, and the revision that serves in its place; undefined where it was not removed.
 */
async function besideOthers(
  client: Client,
  stages: readonly InstallStage[],
): Promise<{ readonly stages: readonly InstallStage[]; readonly serving?: string }> {
  const serving = (await tagsOf(client)).find(({ tag }) => tag === defaultRevisionName)?.revision;
  if (serving === undefined) return { stages };
  const { namespace, discovery } = installNames;
  const first = await client.of(deploymentKind).find({ namespace, name: discovery });
  if (serving === defaultRevisionName || first) {
    return { stages: stages.map((stage) => ({ ...stage, objects: stage.objects.map((each) => asleep(each)) })) };
  }
  const left = stages.map((stage) => ({
    ...stage,
    objects: stage.objects.filter(({ metadata: { labels } }) => labels?.[revisionLabel] !== "default"),
  }));
  return { stages: left.filter(({ objects }) => objects.length > 0), serving };
}

async function print(flags: Flags): Promise<void> {
  const made = isBeside(flags) ? undefined : await keysFor({});
  const { members } = optionsOf(flags);
  if (members && members.type !== "ClusterIP") {
    const fix = "give --members-host alone, and lead it to the Services weft-members-api and weft-members-istiod";
    throw new WeftError("InvalidArgument", `--print cannot know what addresses the cluster gives: ${fix}`);
  }
  for (const { title, objects } of stagesOf(flags, made?.keys, members && placesAt(members.hosts))) {
    console.log(`# ${title}`);
    for (const object of objects)
      process.stdout.write(`---\n${stringify(object, { lineWidth: 0, aliasDuplicateObjects: false })}`);
  }
}

async function carryOutStages(
  stages: readonly InstallStage[],
  installer: Installer,
  client: Client,
  patience: Patience,
): Promise<void> {
  for (const { title, objects } of stages) {
    console.log(`  ... ${title}`);
    await installer.apply(objects);
    await becomeReady(client, objects, patience);
    console.log(`  ok  ${title}`);
  }
}

async function install(flags: Flags): Promise<void> {
  optionsOf(flags);
  if (flags.print === true) return print(flags);
  const signal = interrupted();
  using api = await openApi(flags);
  const { client } = api;
  await checkUnmanaged(client);
  const beside = isBeside(flags);
  await (beside ? checkInstalled(client, flags) : checkKinds(client, flags.cluster));
  const made = beside ? undefined : await keysFor(await knownKeys(client));
  const installer = new Installer(client);
  await installer.check(objectsOf(stagesOf(flags, made?.keys)));
  const patience = { clock: systemClock, limitMs: flags.timeout * 1000, told: waiting, signal };
  const carryOut = (stages: readonly InstallStage[]): Promise<void> =>
    carryOutStages(stages, installer, client, patience);
  const planned = async (places?: MembersPlaces): ReturnType<typeof besideOthers> => {
    const whole = stagesOf(flags, made?.keys, places);
    return beside ? { stages: whole } : besideOthers(client, whole);
  };
  const { members, revision } = optionsOf(flags);
  await carryOut((await planned()).stages.filter(({ opens = false }) => opens));
  const places = members && (await placesOf(client, members, revision));
  const { stages, serving } = await planned(places);
  await carryOut(stages.filter(({ opens = false }) => !opens));
  await installer.prune(objectsOf(stagesOf(flags, made?.keys, places)), revision);
  if (flags.adminKubeconfig !== undefined && made)
    writeFileSync(flags.adminKubeconfig, made.administrator, { mode: 0o600 });
  console.log(outcomeOf(revision, serving));
}

function objectsOf(stages: readonly InstallStage[]): readonly InstallObject[] {
  return stages.flatMap(({ objects }) => objects);
}

function outcomeOf(revision: string, serving: string | undefined): string {
  if (revision !== "default")
    return `Revision ${revision} is installed: weft revision move ${revision} --percent 10 has namespaces follow it`;
  if (serving !== undefined)
    return `Weft is installed; proxies are served by revision ${serving}: weft install --revision ${serving} changes that`;
  return "Weft is installed: kubectl label namespace NAME istio-injection=enabled gives its new Pods a proxy";
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
      "\nExamples:\n  weft install --image registry.example/weft:1.0\n  weft install --image registry.example/weft:1.0 --store etcds://etcd.example:2379/weft --store-secret weft-etcd\n  weft install --image registry.example/weft:1.0 --print > weft.yaml\n  weft install --revision 1-1 --image registry.example/weft:1.1",
    )
    .action(install);
}

import { readFile, writeFile } from "node:fs/promises";
import { type Command, InvalidArgumentError, Option } from "commander";
import { kinds } from "#api/kinds.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { adoptSteps, type Return, returnSteps } from "#controllers/adoption/adopt.ts";
import { type Backup, BackupPlace } from "#controllers/adoption/backup.ts";
import { exportFrom, labelOf } from "#controllers/adoption/exported.ts";
import { type Choice, type Fate, planAdoption, undecided, winnerOf, type Winner } from "#controllers/adoption/plan.ts";
import { Installation } from "#controllers/aggregation/installation.ts";
import { Membership } from "#controllers/clusters/membership.ts";
import { carryOut } from "#controllers/clusters/steps.ts";
import type { Client } from "#kube/client.ts";
import { wholeNumber } from "../output.ts";
import { type IstioFlags, istioOf, withIstioFlags } from "./istio-objects.ts";
import { type MemberFlags, type MeshFlags, openMember, openMesh, withMeshFlags } from "./member.ts";
import { interrupted, lines, waiting } from "./progress.ts";

interface AdoptFlags extends MeshFlags, MemberFlags, IstioFlags {
  readonly kubeconfig: string;
  readonly prefer?: Winner;
  readonly choose: ReadonlyMap<string, Winner>;
  readonly leaveRefused?: boolean;
  readonly backup?: string;
  readonly dryRun?: boolean;
  readonly undo?: boolean;
  readonly timeout: number;
}

/** Reads `--choose`, which may be given several times. */
function chosen(text: string, before: ReadonlyMap<string, Winner>): ReadonlyMap<string, Winner> {
  const [, label = "", winner] = /^([^=]+)=(mesh|cluster)$/.exec(text) ?? [];
  if (winner === undefined)
    throw new InvalidArgumentError("write it as VirtualService/shop/reviews=mesh, or =cluster.");
  return new Map([...before, [label, winner as Winner]]);
}

/** How many of each there are, and each that needs a word. */
function tell(fates: readonly Fate[], choice: Choice): void {
  const count = (kind: Fate["kind"]): number => fates.filter((each) => each.kind === kind).length;
  console.log(
    `  ${fates.length} objects: ${count("new")} new, ${count("same")} as the mesh has them, ${count("conflict")} that differ, ${count("refused")} that are not taken`,
  );
  for (const fate of fates) {
    if (fate.kind === "refused") console.log(`  !!  ${labelOf(fate.object)} is not taken: ${fate.why}`);
    if (fate.kind !== "conflict") continue;
    const winner = winnerOf(fate, choice);
    console.log(
      `  ${winner === undefined ? "!! " : "ok "} ${labelOf(fate.object)} differs${winner === undefined ? "" : `: that of the ${winner} counts`}`,
    );
  }
}

/** @throws WeftError `NotFound` for a cluster that is no member. */
async function memberOf(mesh: Client, name: string): Promise<Membership> {
  const membership = new Membership(mesh, name, systemClock);
  if (await membership.find()) return membership;
  const fix = `let it join first, with weft cluster add ${name} --istio-objects None`;
  throw new WeftError("NotFound", `there is no cluster ${name} in the mesh: ${fix}`);
}

async function goBack(
  name: string,
  returning: Pick<Return, "mesh" | "member" | "membership" | "choice">,
  file: string | undefined,
): Promise<void> {
  const backup = file === undefined ? {} : { backup: JSON.parse(await readFile(file, "utf8")) as Backup };
  console.log(`giving ${name} its own Istio objects back`);
  const installation = new Installation(returning.member, systemClock);
  const steps = returnSteps({ ...returning, installation, kinds, told: waiting, clock: systemClock, ...backup });
  await carryOut(steps, lines);
  console.log(`${name} has its own Istio objects again; the mesh keeps those that it did not have before`);
}

async function adopt(name: string, flags: AdoptFlags): Promise<void> {
  using mesh = await openMesh(flags);
  using member = await openMember(flags.kubeconfig, flags);
  const { prefer, choose, leaveRefused = false, backup: file, timeout } = flags;
  const membership = await memberOf(mesh.client, name);
  const choice: Choice = { chosen: choose, leaveRefused, ...(prefer && { prefer }) };
  if (flags.undo === true) return goBack(name, { mesh: mesh.client, member: member.client, membership, choice }, file);
  if (await new BackupPlace(member.client).exists()) {
    const fix = `weft cluster adopt ${name} --kubeconfig ${flags.kubeconfig} --undo takes it back`;
    throw new WeftError("FailedPrecondition", `${name} was adopted already, or its adoption was cut off: ${fix}`);
  }
  const istio = await istioOf(name, { ...flags, istioObjects: "Aggregated" }, mesh.client, member.client);
  if (!istio || "lack" in istio)
    throw new WeftError("Internal", "there is nothing that makes the cluster serve the mesh's objects");
  console.log(`reading the Istio objects of ${name}`);
  const fates = await planAdoption(mesh.client, await exportFrom(member.client, kinds), kinds);
  tell(fates, choice);
  const open = undecided(fates, choice);
  if (open.length > 0) {
    throw new WeftError(
      "FailedPrecondition",
      `${open.length} objects are not decided; nothing was changed: --prefer and --choose say whose counts, --leave-refused leaves out what is not taken`,
    );
  }
  if (flags.dryRun === true) return;
  console.log(`adopting ${name}`);
  const adoption = {
    name,
    mesh: mesh.client,
    member: member.client,
    membership,
    ...istio,
    kinds,
    choice,
    ...(file !== undefined && { keep: (backup: Backup) => writeFile(file, JSON.stringify(backup), { mode: 0o600 }) }),
    limitMs: timeout * 1000,
    told: waiting,
    clock: systemClock,
    signal: interrupted(),
  };
  await carryOut(adoptSteps(adoption), lines);
  console.log(`${name} serves the mesh's Istio objects; what it had is in its ConfigMaps istio-system/weft-adopted-*`);
}

/** `weft cluster adopt`. */
export function adoptCommand(group: Command): void {
  withIstioFlags(withMeshFlags(group.command("adopt")), false)
    .summary("take over the Istio objects of a cluster that has its own")
    .description(
      "Imports the Istio objects of a member into the mesh, removes the cluster's own definitions (CRDs) and lets its API server serve the mesh's objects in their place. All that the cluster had is written into it as a backup first. When a step fails, all is undone; --undo goes back later.",
    )
    .argument("<name>", "the cluster's name in the mesh")
    .requiredOption("--kubeconfig <file>", "kubeconfig of an administrator of the cluster")
    .option("--context <name>", "context of the kubeconfig; the current one unless given")
    .addOption(
      new Option("--prefer <whose>", "whose object counts where the cluster's differs from the mesh's").choices([
        "mesh",
        "cluster",
      ]),
    )
    .option(
      "--choose <object=whose>",
      "the same of one object, KIND/NAMESPACE/NAME=mesh or =cluster; may be repeated",
      chosen,
      new Map(),
    )
    .option("--leave-refused", "leave out objects that the mesh does not take; the backup has them")
    .option("--backup <file>", "keep what the cluster had in this file too; with --undo, go back to that of the file")
    .option("--dry-run", "show what would become of each object, and change nothing")
    .option(
      "--undo",
      "give the cluster its own definitions and objects back, and the mesh what these replaced; --prefer and --choose then say of what was written since whether the mesh's stays or that of the backup counts",
    )
    .option("--timeout <seconds>", "how long its API server may take to find the mesh's", wholeNumber(1, 3600), 120)
    .addHelpText(
      "after",
      "\nExamples:\n  weft cluster adopt east --kubeconfig ~/.kube/east --dry-run\n  weft cluster adopt east --kubeconfig ~/.kube/east --prefer mesh --choose VirtualService/shop/reviews=cluster\n  weft cluster adopt east --kubeconfig ~/.kube/east --undo",
    )
    .action(adopt);
}

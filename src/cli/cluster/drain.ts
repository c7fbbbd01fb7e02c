import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { drainStep, returnStep } from "#controllers/clusters/leave.ts";
import { Membership } from "#controllers/clusters/membership.ts";
import { carryOut } from "#controllers/clusters/steps.ts";
import { wholeNumber } from "../output.ts";
import { type MeshFlags, openMesh, withMeshFlags } from "./member.ts";
import { interrupted, lines, waiting } from "./progress.ts";

interface DrainFlags extends MeshFlags {
  readonly undo?: boolean;
  readonly timeout: number;
}

async function drain(name: string, flags: DrainFlags): Promise<void> {
  const { undo = false, timeout } = flags;
  using mesh = await openMesh(flags);
  const membership = new Membership(mesh.client, name, systemClock);
  if (!(await membership.find())) {
    throw new WeftError("NotFound", `there is no cluster ${name} in the mesh: weft cluster list shows all`);
  }
  const step = undo ? returnStep : drainStep;
  const fix = `weft cluster check ${name} tells how it stands; the same command again goes on waiting`;
  const waits = { membership, limitMs: timeout * 1000, fix, told: waiting, signal: interrupted() };
  await carryOut([step(waits)], lines);
  console.log(
    undo
      ? `callers in other clusters are led to ${name} again`
      : `${name} is drained: its own callers go on as they are; weft cluster drain ${name} --undo leads others to it again`,
  );
}

/** `weft cluster drain`. */
export function drainCommand(group: Command): void {
  withMeshFlags(group.command("drain"))
    .summary("lead callers in other clusters elsewhere, and back")
    .description(
      "Leads callers in other clusters to other clusters' endpoints, waits until all proxies know, and changes nothing in the cluster itself, whose own callers go on as they are: for work on a cluster that stays in the mesh.",
    )
    .argument("<name>", "the cluster's name in the mesh")
    .option("--undo", "lead them to the cluster again")
    .option("--timeout <seconds>", "how long proxies may take to know", wholeNumber(1, 3600), 120)
    .addHelpText("after", "\nExamples:\n  weft cluster drain east\n  weft cluster drain east --undo")
    .action(drain);
}

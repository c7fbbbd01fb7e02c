import type { Command } from "commander";
import type { Mesh } from "#api/weft/mesh.ts";
import { systemClock } from "#base/clock.ts";
import { type ApiContext, type ApiFlags, withApiFlags } from "../context.ts";
import { wholeNumber } from "../output.ts";
import { followMesh } from "./progress.ts";

/** Flags of a command that changes a mesh. */
export interface WaitFlags extends ApiFlags {
  readonly wait: boolean;
  readonly timeout: number;
}

/** A command that changes a mesh and tells how that goes on. */
export function changing(group: Command, name: string): Command {
  return withApiFlags(group.command(name))
    .argument("<name>", "the mesh")
    .option("--no-wait", "return at once")
    .option("--timeout <seconds>", "how long to tell how it goes on", wholeNumber(1, 86_400), 600);
}

/** Tells how what was asked of a mesh goes on, if the flags say so. */
export async function follow(api: ApiContext, mesh: Mesh, { wait, timeout }: WaitFlags): Promise<void> {
  if (wait) await followMesh(api.client, mesh, timeout * 1000, systemClock, (line) => console.log(line));
}

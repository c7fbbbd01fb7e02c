import type { Command } from "commander";
import { systemClock } from "#base/clock.ts";
import { stderrLogger, terminated, withLogFlag, type LogFlags } from "./processes.ts";

interface GuardFlags extends LogFlags {
  readonly api: string;
}

/** `weft guard`. */
export function guardCommand(program: Command): void {
  withLogFlag(program.command("guard"))
    .summary("let namespaces of a member cluster go while the mesh is away")
    .description(
      "Runs in a member cluster whose API server serves the mesh's objects. A namespace that is deleted and waits for the mesh alone, which cannot be reached, goes after a minute; the mesh is told when it is back.",
    )
    .requiredOption(
      "--api <address>",
      "the cluster's API: a kubeconfig, the URL of one that needs no credentials, or in-cluster for the one that the Pod runs in",
    )
    .action(async (flags: GuardFlags) => {
      const { runGuard } = await import("#server/guard.ts");
      await runGuard(flags.api, { clock: systemClock, logger: stderrLogger(flags) }, terminated());
    });
}

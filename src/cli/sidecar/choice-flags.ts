import type { Command } from "commander";
import type { ApiFlags } from "../context.ts";

/** Which proxies are meant. */
export interface ChoiceFlags extends ApiFlags {
  readonly namespace?: string;
  readonly selector?: string;
  readonly cluster?: string;
  readonly phase?: string;
}

/** Adds the flags that choose proxies. */
export function withChoiceFlags(command: Command): Command {
  return command
    .option("-n, --namespace <name>", "only those of a namespace; of all unless given")
    .option("-l, --selector <labels>", "only those with labels, such as app=reviews")
    .option("--cluster <name>", "only those of a cluster")
    .option("--phase <phase>", "only those in a phase, such as Running or Restarting");
}

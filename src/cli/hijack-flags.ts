import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import { type HijackMode, hijackKey, hijackModes } from "#api/weft/hijack-mode.ts";

/** Flags that say how connections are led to proxies. */
export interface HijackFlags {
  readonly hijack: HijackMode;
  readonly hijackPrograms?: string;
}

/** Where images have the compiled programs. */
const usualFolder = "/usr/local/lib/weft/bpf";

/** Adds them to an agent's command. */
export function withHijackFlags(command: Command): Command {
  const ways = new Option(
    "--hijack <mode>",
    `how connections are led to proxies, where neither ${hijackKey} of the Pod or its namespace nor the mesh says`,
  );
  return command
    .addOption(ways.choices(hijackModes).default("iptables"))
    .option(
      "--hijack-programs <folder>",
      `folder of the compiled programs of bpf/ (default: ${usualFolder}, where it is)`,
    );
}

/** What they say. */
export function hijackOptions({ hijack, hijackPrograms }: HijackFlags): HijackFlags {
  const folder = hijackPrograms ?? (existsSync(usualFolder) ? usualFolder : undefined);
  return { hijack, ...(folder !== undefined && { hijackPrograms: resolve(folder) }) };
}

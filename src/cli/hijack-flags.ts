import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { type Command, Option } from "commander";
import type { HijackMode } from "#api/weft/hijack-mode.ts";

/** Flags that say how connections are led to proxies. */
export interface HijackFlags {
  readonly hijack: HijackMode;
  readonly hijackPrograms?: string;
}

/** The ways, as words of a flag: an agent that starts does not load the kinds of the API for them. */
const ways: Readonly<Record<HijackMode, true>> = { iptables: true, ebpf: true };

/** Where images have the compiled programs. */
const usualFolder = "/usr/local/lib/weft/bpf";

/** Adds them to an agent's command. */
export function withHijackFlags(command: Command): Command {
  const hijack = new Option(
    "--hijack <mode>",
    "how connections are led to proxies, where neither mesh.weft.dev/hijack of the Pod or its namespace nor the mesh says",
  );
  return command
    .addOption(hijack.choices(Object.keys(ways)).default("iptables"))
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

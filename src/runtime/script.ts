import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ProcessSpec } from "./process.ts";

const supervisor = readFileSync(join(import.meta.dirname, "shim.sh"), "utf8");

/** A text as one word of a POSIX shell. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", `'\\''`)}'`;
}

/**
 * The script that starts and supervises a process: its values, then `shim.sh`. The script is complete, so that it runs on
 * when the checkout that it came from is gone. The environment stands in it and nowhere else.
 */
export function shellScript(spec: ProcessSpec): string {
  const environment = Object.entries(spec.env).map(([name, value]) => quoted(`${name}=${value}`));
  const program = ["env", "-i", ...environment, ...spec.argv.map(quoted)].join(" ");
  const mounts = spec.mounts.map(({ source, target }) => `mount --bind ${quoted(source)} ${quoted(target)}`);
  const groups = (spec.groups ?? []).map((file) => `echo $$ > ${quoted(file)}`);
  return [
    "#!/bin/sh",
    `folder=${quoted(spec.folder)}`,
    `notify=${quoted(spec.notify)}`,
    `log_bytes=${spec.logBytes}`,
    `hostname=${quoted(spec.hostname ?? "")}`,
    `uid=${spec.uid ?? "''"}`,
    `gid=${spec.gid ?? spec.uid ?? "''"}`,
    `enter() {\n  ${[...groups, "true"].join(" &&\n  ")}\n}`,
    `mounts() {\n  ${[...mounts, "true"].join(" &&\n  ")}\n}`,
    `run() {\n  cd ${quoted(spec.cwd)} && exec "$@" ${program}\n}`,
    supervisor,
  ].join("\n");
}

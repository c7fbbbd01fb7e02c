import { existsSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { WeftError, messageOf } from "#base/errors.ts";

/** Folders of the node that container runtimes look into. */
export interface CniPlaces {
  /** Programs, as `/opt/cni/bin`. */
  readonly programs: string;
  /** Configurations, as `/etc/cni/net.d`. */
  readonly configurations: string;
  /** Where plugin and agent meet, as the node has it. */
  readonly mailbox: string;
}

/** The plugin's name, and its program's. */
const plugin = "weft-cni";

interface Configuration {
  readonly cniVersion?: string;
  readonly name?: string;
  readonly type?: string;
  readonly plugins?: readonly { readonly type?: string }[];
}

function writeAside(path: string, text: string, mode: number): void {
  // Runtimes read what ends with .conf, .conflist and .json.
  writeFileSync(`${path}.weft-new`, text, { mode });
  renameSync(`${path}.weft-new`, path);
}

/** The plugin as a program that knows where the agent is. */
function pluginProgram(mailbox: string): string {
  const text = readFileSync(join(import.meta.dirname, "plugin.sh"), "utf8");
  return text.replace("\n", `\nfolder='${mailbox.replaceAll("'", `'\\''`)}'\n`);
}

/** The configuration that a runtime takes: the first by name. */
function firstConfiguration(folder: string): string | undefined {
  const names = readdirSync(folder).filter((name) => /\.(conf|conflist|json)$/.test(name));
  return names.toSorted()[0];
}

function read(path: string): Configuration {
  try {
    return JSON.parse(readFileSync(path, "utf8")) as Configuration;
  } catch (error) {
    throw new WeftError("FailedPrecondition", `the node's CNI configuration ${path}: ${messageOf(error)}`, error);
  }
}

/** A configuration with the plugin as the last of its chain; undefined where it is that already. */
export function chained(before: Configuration): Configuration | undefined {
  const { cniVersion = "0.4.0", name = "pods", plugins } = before;
  const list = plugins ?? [before];
  if (list.at(-1)?.type === plugin) return undefined;
  const others = list.filter(({ type }) => type !== plugin);
  return { ...(plugins ? before : { cniVersion, name }), plugins: [...others, { type: plugin }] };
}

/**
 * Puts the plugin onto the node, as the last of the chain that its runtime uses. What stands there already is left alone.
 * @returns whether something was changed.
 * @throws WeftError `FailedPrecondition` when the node has no network plugin yet, or a configuration that cannot be read.
 */
export function installPlugin({ programs, configurations, mailbox }: CniPlaces): boolean {
  const program = join(programs, plugin);
  const text = pluginProgram(mailbox);
  const isThere = existsSync(program) && readFileSync(program, "utf8") === text;
  if (!isThere) writeAside(program, text, 0o755);
  const name = firstConfiguration(configurations);
  if (name === undefined)
    throw new WeftError("FailedPrecondition", `${configurations} has no configuration: install a network plugin first`);
  const path = join(configurations, name);
  const after = chained(read(path));
  if (!after) return !isThere;
  // A list is taken by its ending.
  const place = name.endsWith(".conflist") ? path : `${path.replace(/\.(conf|json)$/, "")}.conflist`;
  writeAside(place, `${JSON.stringify(after, undefined, 2)}\n`, 0o644);
  if (place !== path) renameSync(path, `${path}.weft-before`);
  return true;
}

/** Takes the plugin out of all chains of the node, and its program away. */
export function removePlugin({ programs, configurations }: Pick<CniPlaces, "programs" | "configurations">): void {
  for (const name of readdirSync(configurations).filter((each) => each.endsWith(".conflist"))) {
    const path = join(configurations, name);
    const { plugins = [], ...rest } = read(path);
    if (!plugins.some(({ type }) => type === plugin)) continue;
    const left = { ...rest, plugins: plugins.filter(({ type }) => type !== plugin) };
    writeAside(path, `${JSON.stringify(left, undefined, 2)}\n`, 0o644);
  }
  rmSync(join(programs, plugin), { force: true });
}

import { type Command, Option } from "commander";
import type { Mesh } from "#api/weft/mesh.ts";
import { codeOf, WeftError } from "#base/errors.ts";
import { type ApiContext, type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { type OutputFormat, outputOption, serialize, wholeNumber } from "../output.ts";
import { changing, follow, type WaitFlags } from "./changing.ts";
import { createCommand } from "./create.ts";
import { meshesOf, meshesText, meshText, proxiesOf } from "./progress.ts";

/** Times that a change is tried anew: its status is written meanwhile, as often as what runs of the mesh changes. */
const mostTries = 10;

/** Changes the spec of a mesh as it is now. */
async function edited({ client }: ApiContext, name: string, edit: (mesh: Mesh) => object): Promise<Mesh> {
  const meshes = meshesOf(client);
  for (let tries = 1; ; tries += 1) {
    const mesh = await meshes.get({ name });
    const { resourceVersion } = mesh.metadata;
    const body = { metadata: { resourceVersion }, spec: edit(mesh) };
    try {
      return await meshes.patch({ name }, { kind: "merge", body });
    } catch (error) {
      if (codeOf(error) !== "Conflict" || tries === mostTries) throw error;
    }
  }
}

/** Changes a mesh's spec and tells how that goes on. */
async function change(name: string, flags: WaitFlags, edit: (mesh: Mesh) => object): Promise<void> {
  using api = await openApi(flags);
  await follow(api, await edited(api, name, edit), flags);
}

function canaryOf({ metadata, spec }: Mesh): NonNullable<Mesh["spec"]["canary"]> {
  if (spec.canary) return spec.canary;
  const fix = `weft mesh upgrade ${metadata.name} VERSION begins one`;
  throw new WeftError("FailedPrecondition", `no upgrade of the mesh ${metadata.name} is under way: ${fix}`);
}

interface ShowFlags extends ApiFlags {
  readonly output: OutputFormat;
}

function show(found: object, { output }: ShowFlags, text: () => string): void {
  process.stdout.write(output === "json" || output === "yaml" ? serialize(found, output) : text());
}

function listCommand(group: Command): void {
  withApiFlags(group.command("list"))
    .summary("list meshes")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft mesh list\n  weft mesh list -o json")
    .action(async (flags: ShowFlags) => {
      using api = await openApi(flags);
      const { items } = await meshesOf(api.client).list();
      show(items, flags, () => meshesText(items));
    });
}

function getCommand(group: Command): void {
  withApiFlags(group.command("get"))
    .summary("show a mesh, its revisions and what is being done with it")
    .argument("<name>", "the mesh")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft mesh get shop\n  weft mesh get shop -o yaml")
    .action(async (name: string, flags: ShowFlags) => {
      using api = await openApi(flags);
      const mesh = await meshesOf(api.client).get({ name });
      show(mesh, flags, () => meshText(mesh));
    });
}

interface UpgradeFlags extends WaitFlags {
  readonly percentage?: number;
  readonly revision?: string;
  readonly atOnce?: boolean;
}

function upgradeCommand(group: Command): void {
  changing(group, "upgrade")
    .summary("run another version beside the mesh's own, and move namespaces to it")
    .argument("<version>", "the version of Weft")
    .description(
      "Starts another version of the control plane beside the running one. Namespaces move to it by the label istio.io/rev, or by a percentage, which the same command changes; then weft mesh finish or weft mesh rollback.",
    )
    .option("--percentage <number>", "namespaces of a hundred that follow it; none unless given", wholeNumber(0, 100))
    .option("--revision <name>", "its name for the label istio.io/rev; made of the version unless given")
    .addOption(
      new Option("--at-once", "move everything and end the old one, without a canary").conflicts([
        "percentage",
        "revision",
      ]),
    )
    .addHelpText(
      "after",
      "\nExamples:\n  weft mesh upgrade shop 0.2.0\n  weft mesh upgrade shop 0.2.0 --percentage 20\n  weft mesh upgrade shop 0.2.0 --at-once",
    )
    .action(async (name: string, version: string, flags: UpgradeFlags) => {
      const { percentage, revision, atOnce } = flags;
      const canary = {
        version,
        ...(percentage !== undefined && { percentage }),
        ...(revision !== undefined && { revision }),
      };
      await change(name, flags, ({ spec }) => {
        if (atOnce === true) return { version, canary: null };
        // Another version is another canary: nothing of one before stays.
        return { canary: spec.canary?.version === version ? canary : { revision: null, percentage: 0, ...canary } };
      });
    });
}

function finishCommand(group: Command): void {
  changing(group, "finish")
    .summary("end an upgrade: everything follows the new version, and the old one ends")
    .addHelpText("after", "\nExample:\n  weft mesh finish shop")
    .action(async (name: string, flags: WaitFlags) =>
      change(name, flags, (mesh) => ({ version: canaryOf(mesh).version, canary: null })),
    );
}

function rollbackCommand(group: Command): void {
  changing(group, "rollback")
    .summary("take an upgrade back: everything follows the old version again, and the new one ends")
    .addHelpText("after", "\nExample:\n  weft mesh rollback shop")
    .action(async (name: string, flags: WaitFlags) =>
      change(name, flags, (mesh) => canaryOf(mesh) && { canary: null }),
    );
}

function deleteCommand(group: Command): void {
  changing(group, "delete")
    .summary("delete a mesh with all that is in its API")
    .option("--yes", "also where it serves proxies")
    .addHelpText("after", "\nExamples:\n  weft mesh delete shop\n  weft mesh delete shop --yes")
    .action(async (name: string, flags: WaitFlags & { readonly yes?: boolean }) => {
      using api = await openApi(flags);
      const meshes = meshesOf(api.client);
      const mesh = await meshes.get({ name });
      const proxies = proxiesOf(mesh);
      if (proxies > 0 && flags.yes !== true) {
        const message = `the mesh ${name} serves ${proxies} ${proxies === 1 ? "proxy" : "proxies"}, which would get no changes any more: give --yes`;
        throw new WeftError("FailedPrecondition", message);
      }
      await meshes.delete({ name }, { uid: mesh.metadata.uid });
      await follow(api, mesh, flags);
    });
}

/** `weft mesh` and what belongs to it. */
export function meshCommand(program: Command): void {
  const group = program
    .command("mesh")
    .summary("make, upgrade and delete meshes of a management plane")
    .description(
      "Makes, upgrades and deletes the meshes whose control planes a management plane runs (weft server --meshes-dir).",
    );
  createCommand(group);
  listCommand(group);
  getCommand(group);
  upgradeCommand(group);
  finishCommand(group);
  rollbackCommand(group);
  deleteCommand(group);
}

import { type Command, Option } from "commander";
import { authorityKeys } from "#identity/settings.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { RootRotation } from "#api/weft/root-rotation.ts";
import type { Client } from "#kube/client.ts";
import { type ApiContext, type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { collected, type OutputFormat, outputOption, serialize } from "../output.ts";
import {
  authorityOf,
  authorityText,
  isOver,
  listRotations,
  progressLine,
  progressOf,
  rotationsOf,
  rotationsText,
  waitingText,
} from "./rotations.ts";

/** Milliseconds between looks while waiting. */
const lookMs = 1000;

interface WaitFlags extends ApiFlags {
  readonly wait?: boolean;
}

/** The rotation that is named, or the only one that goes on. @throws WeftError `NotFound`. */
async function going(client: Client, name: string | undefined): Promise<RootRotation> {
  if (name !== undefined) return rotationsOf(client).get({ name });
  const found = (await listRotations(client)).find((each) => !isOver(each));
  if (found) return found;
  throw new WeftError(
    "NotFound",
    "no rotation of the mesh's root goes on: weft ca status lists them, weft ca rotate begins one",
  );
}

/** Tells how a rotation goes on, until it is over. @throws WeftError `FailedPrecondition` when it ends otherwise than wanted. */
async function follow(client: Client, name: string, wanted: "Completed" | "Aborted"): Promise<void> {
  let told = "";
  for (;;) {
    const rotation = await rotationsOf(client).get({ name });
    const line = progressLine(rotation);
    if (line !== told) console.log(line);
    told = line;
    if (isOver(rotation)) {
      if (rotation.status?.phase === wanted) return;
      throw new WeftError("FailedPrecondition", `the rotation ${name} has ended: ${progressOf(rotation)}`);
    }
    await systemClock.sleep(lookMs);
  }
}

const waitOption = (): Option => new Option("--wait", "tell how it goes on, until it is over");

function statusCommand(group: Command): void {
  withApiFlags(group.command("status"))
    .summary("show the mesh's authority, its roots, and how a rotation stands")
    .addOption(new Option("--mesh <name>", "name of the Mesh").default("default"))
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft ca status\n  weft ca status -o yaml")
    .action(async (flags: ApiFlags & { readonly mesh: string; readonly output: OutputFormat }) => {
      using api = await openApi(flags);
      const [authority, rotations] = await Promise.all([
        authorityOf(api.client, flags.mesh),
        listRotations(api.client),
      ]);
      const { output } = flags;
      const now = systemClock.now();
      const text = (): string => {
        const parts = [authorityText(authority, now), rotationsText(rotations, now)].filter((part) => part !== "");
        return parts.join("\n") + waitingText(rotations);
      };
      process.stdout.write(
        output === "json" || output === "yaml" ? serialize({ authority, rotations }, output) : text(),
      );
    });
}

interface RotateFlags extends WaitFlags {
  readonly secret?: string;
  readonly keyType?: (typeof authorityKeys)[number];
  readonly name?: string;
  readonly holdAt?: "BothTrusted" | "NewIssues";
  readonly skip?: readonly string[];
}

function rotateCommand(group: Command): void {
  withApiFlags(group.command("rotate"))
    .summary("replace the mesh's authority and its root, in stages")
    .description(
      "Replaces the mesh's authority: both roots are trusted, then the new one issues, then the old one is dropped, each when every proxy has proven what the step needs. The new authority is made, unless a Secret is named.",
    )
    .addOption(
      new Option("--secret <name>", "Secret of the root namespace with the new authority").conflicts("keyType"),
    )
    .addOption(new Option("--key-type <type>", "key of an authority that is made").choices(authorityKeys))
    .addOption(new Option("--name <name>", "name of the RootRotation; made up unless given"))
    .addOption(new Option("--hold-at <stage>", "go no further than this").choices(["BothTrusted", "NewIssues"]))
    .addOption(
      new Option("--skip <proxy>", "do not wait for CLUSTER/NAMESPACE/POD; may be repeated").argParser(collected),
    )
    .addOption(waitOption())
    .addHelpText(
      "after",
      "\nExamples:\n  weft ca rotate --wait\n  weft ca rotate --key-type RSA-4096\n  weft ca rotate --secret cacerts-2027 --hold-at BothTrusted\n  weft ca rotate --skip 'west/legacy/*'",
    )
    .action(async ({ secret, keyType, name, holdAt, skip, wait, ...flags }: RotateFlags) => {
      using api = await openApi(flags);
      const spec = {
        ...(secret !== undefined && { secretName: secret }),
        ...(keyType !== undefined && { selfSigned: { keyType } }),
        ...(holdAt !== undefined && { holdAt }),
        ...(skip !== undefined && { skip: [...skip] }),
      };
      const metadata = name === undefined ? { generateName: "root-" } : { name };
      const made = await rotationsOf(api.client).create({ metadata, spec });
      console.log(`rootrotation.mesh.weft.dev/${made.metadata.name} created`);
      if (wait === true) await follow(api.client, made.metadata.name, "Completed");
    });
}

/** Changes what is asked of a rotation. */
async function change(
  name: string | undefined,
  flags: ApiFlags,
  spec: (rotation: RootRotation) => object,
): Promise<{ readonly api: ApiContext; readonly name: string }> {
  const api = await openApi(flags);
  const rotation = await going(api.client, name);
  const patch = { kind: "merge", body: { spec: spec(rotation) } } as const;
  await rotationsOf(api.client).patch({ name: rotation.metadata.name }, patch);
  return { api, name: rotation.metadata.name };
}

function changeCommands(group: Command): void {
  withApiFlags(group.command("abort"))
    .summary("go back to the old authority, through the same stages")
    .argument("[rotation]", "name of the RootRotation; the one that goes on unless given")
    .addOption(waitOption())
    .addHelpText("after", "\nExamples:\n  weft ca abort --wait")
    .action(async (name: string | undefined, { wait, ...flags }: WaitFlags) => {
      const { api: opened, name: aborted } = await change(name, flags, () => ({ abort: true }));
      using api = opened;
      console.log(`rootrotation.mesh.weft.dev/${aborted} goes back`);
      if (wait === true) await follow(api.client, aborted, "Aborted");
    });
  withApiFlags(group.command("skip"))
    .summary("do not wait for proxies that cannot prove what they hold")
    .argument("<proxies...>", "CLUSTER/NAMESPACE/POD, with * for any of a part")
    .addHelpText("after", "\nExamples:\n  weft ca skip east/shop/reviews-1\n  weft ca skip 'west/legacy/*'")
    .action(async (proxies: readonly string[], flags: ApiFlags) => {
      const more = ({ spec }: RootRotation) => ({ skip: [...new Set([...(spec.skip ?? []), ...proxies])] });
      const { api: opened, name } = await change(undefined, flags, more);
      using _api = opened;
      console.log(`rootrotation.mesh.weft.dev/${name} does not wait for ${proxies.join(", ")}`);
    });
}

/** `weft ca`: the mesh's authority. */
export function caCommand(program: Command): void {
  const group = program.command("ca").summary("look at the mesh's authority, and replace it and its root");
  statusCommand(group);
  rotateCommand(group);
  changeCommands(group);
}

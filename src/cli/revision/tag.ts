import type { Command } from "commander";
import { stringify } from "yaml";
import { type Namespace, namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { boundTo, defaultRevisionName } from "#api/weft/revisions.ts";
import { WeftError } from "#base/errors.ts";
import { installNames } from "#controllers/install/options.ts";
import { removeTag, setTag, tagObject, tagsOf } from "#controllers/revisions/tags.ts";
import { mutatingWebhooks } from "#injection/webhook-configuration.ts";
import type { Client } from "#kube/client.ts";
import { type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { revisionName } from "../install/flags.ts";
import { type OutputFormat, outputOption, serialize } from "../output.ts";
import { table } from "../table.ts";

/** The webhooks of a tag, but for where they lead. */
export function tagTemplate(tag: string, revision: string): object {
  return mutatingWebhooks({ revision, tag, namespace: installNames.namespace });
}

/** Namespaces that a word binds, a tag or a revision. */
async function namespacesOf(client: Client, word: string): Promise<readonly string[]> {
  const { items } = await client.of<Namespace>(namespaceKind).list();
  return items
    .filter(({ metadata: { labels = {} } }) => boundTo(labels) === word)
    .map(({ metadata }) => metadata.name)
    .toSorted();
}

interface SetFlags extends ApiFlags {
  readonly revision: string;
  readonly overwrite?: boolean;
}

const revisionFlag = ["--revision <name>", "the revision that it stands for", revisionName] as const;

function setCommand(group: Command): void {
  withApiFlags(group.command("set"))
    .summary("have a tag stand for a revision")
    .argument("<tag>", "the tag, as namespaces name it in istio.io/rev; default for those with istio-injection=enabled")
    .requiredOption(...revisionFlag)
    .option("--overwrite", "also where it stands for another revision")
    .addHelpText(
      "after",
      "\nExamples:\n  weft revision tag set prod --revision 1-1\n  weft revision tag set default --revision 1-1 --overwrite",
    )
    .action(async (tag: string, { revision, overwrite = false, ...flags }: SetFlags) => {
      using api = await openApi(flags);
      const template = tagTemplate(tag, revision);
      await setTag(api.client, { tag, revision, template, overwrite, remember: true });
      console.log(
        tag === defaultRevisionName
          ? `the tag default stands for revision ${revision}, which namespaces with istio-injection=enabled follow`
          : `the tag ${tag} stands for revision ${revision}: kubectl label namespace NAME istio.io/rev=${tag}`,
      );
    });
}

function listCommand(group: Command): void {
  withApiFlags(group.command("list"))
    .summary("list tags and who names them")
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText("after", "\nExamples:\n  weft revision tag list\n  weft revision tag list -o json")
    .action(async (flags: ApiFlags & { readonly output: OutputFormat }) => {
      using api = await openApi(flags);
      const { client } = api;
      const tags = await tagsOf(client);
      const all = await Promise.all(
        tags.map(async ({ tag, revision }) => ({ tag, revision, namespaces: await namespacesOf(client, tag) })),
      );
      const { output } = flags;
      if (output === "json" || output === "yaml") process.stdout.write(serialize(all, output));
      else if (all.length === 0) console.log("there are no revision tags: weft revision tag set makes one");
      else {
        const rows = all.map(({ tag, revision, namespaces }) => [tag, revision, namespaces.join(",")]);
        process.stdout.write(table(["TAG", "REVISION", "NAMESPACES"], rows));
      }
    });
}

function removeCommand(group: Command): void {
  withApiFlags(group.command("remove"))
    .summary("remove a tag")
    .argument("<tag>", "the tag")
    .option("--yes", "also where namespaces name it, whose Pods nobody injects then")
    .addHelpText("after", "\nExamples:\n  weft revision tag remove prod\n  weft revision tag remove prod --yes")
    .action(async (tag: string, { yes = false, ...flags }: ApiFlags & { readonly yes?: boolean }) => {
      using api = await openApi(flags);
      const named = tag === defaultRevisionName ? [] : await namespacesOf(api.client, tag);
      if (named.length > 0 && !yes) {
        const fix = "label them otherwise, or give --yes";
        throw new WeftError("FailedPrecondition", `namespaces name the tag ${tag}: ${named.join(", ")}; ${fix}`);
      }
      await removeTag(api.client, tag);
      console.log(`the tag ${tag} is removed`);
    });
}

function generateCommand(group: Command): void {
  withApiFlags(group.command("generate"))
    .summary("print what tag set would make, as YAML")
    .argument("<tag>", "the tag")
    .requiredOption(...revisionFlag)
    .addHelpText("after", "\nExample:\n  weft revision tag generate prod --revision 1-1 | kubectl apply -f -")
    .action(async (tag: string, { revision, ...flags }: SetFlags) => {
      using api = await openApi(flags);
      process.stdout.write(stringify(await tagObject(api.client, tagTemplate(tag, revision), revision)));
    });
}

/** `weft revision tag`. */
export function tagCommand(group: Command): void {
  const tags = group
    .command("tag")
    .summary("names for revisions, which namespaces keep while the revision changes")
    .description(
      "Revision tags, as istioctl tag makes them: each is a MutatingWebhookConfiguration istio-revision-tag-TAG, and istioctl tag list shows it.",
    );
  setCommand(tags);
  listCommand(tags);
  removeCommand(tags);
  generateCommand(tags);
}

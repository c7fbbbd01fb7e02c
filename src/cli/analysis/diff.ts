import { Option, type Command } from "commander";
import { stringify } from "yaml";
import type { Edit, PlacedObject } from "#analysis/snapshot.ts";
import { openMesh } from "#analysis/snapshot.ts";
import { diffMesh } from "#analysis/diff.ts";
import { kindOf } from "#api/kinds.ts";
import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import type { ResourceObject } from "#api/meta.ts";
import { loadRegistry } from "#proto/registry.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import { type Manifest, applyManifest, readManifests } from "../apply.ts";
import { type ApiContext, type ApiFlags, openApi, withApiFlags } from "../context.ts";
import { type OutputFormat, outputOption, serialize } from "../output.ts";
import { apiResources, resourceOf, resourcePath } from "../resources.ts";
import { diffData, diffText } from "./diff-text.ts";
import { type LiveMesh, readMesh } from "./live-mesh.ts";
import { paintFor } from "./paint.ts";
import { resourceJson } from "./resource-text.ts";

interface DiffFlags extends ApiFlags {
  readonly filename: readonly string[];
  readonly namespace?: string;
  readonly cluster?: string;
  readonly delete?: boolean;
  readonly proxy?: readonly string[];
  readonly summary?: boolean;
  readonly output: OutputFormat;
}

/** An object of a file, and the API that holds it. */
interface Target {
  readonly manifest: Manifest;
  readonly client: Client;
  readonly cluster: string;
}

function targetOf(manifest: Manifest, api: ApiContext, live: LiveMesh, cluster: string | undefined): Target {
  const { apiVersion, kind, metadata } = manifest;
  const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
  if (kindOf(group, kind)?.home === "mesh") return { manifest, client: api.client, cluster: "" };
  if (cluster === undefined) {
    const choices = live.clusters.join(" or ");
    throw new WeftError(
      "InvalidArgument",
      `${kind} ${metadata.name} belongs to one cluster: say which with --cluster ${choices}`,
    );
  }
  return { manifest, client: live.clusterClient(cluster), cluster };
}

/** What the API would make of an object, defaults filled in and validated; nothing is written. */
async function rehearsed({ manifest, client, cluster }: Target, namespace: string): Promise<PlacedObject> {
  const resource = resourceOf(await apiResources(client), manifest.apiVersion, manifest.kind);
  const { object } = await applyManifest(client, resource, manifest, manifest.metadata.namespace ?? namespace, true);
  return { object, cluster };
}

async function existing({ manifest, client, cluster }: Target, namespace: string): Promise<PlacedObject> {
  const resource = resourceOf(await apiResources(client), manifest.apiVersion, manifest.kind);
  const path = resourcePath(resource, manifest.metadata.namespace ?? namespace, manifest.metadata.name);
  return { object: await client.json<ResourceObject>({ method: "GET", path }), cluster };
}

async function editOf(flags: DiffFlags, api: ApiContext, live: LiveMesh): Promise<Edit> {
  const namespace = flags.namespace ?? api.namespace;
  const targets = readManifests(flags.filename).map((each) => targetOf(each, api, live, flags.cluster));
  if (flags.delete === true) {
    return { put: [], removed: await Promise.all(targets.map(async (each) => existing(each, namespace))) };
  }
  return { put: await Promise.all(targets.map(async (each) => rehearsed(each, namespace))), removed: [] };
}

function wanted(live: LiveMesh, words: readonly string[] | undefined): LiveMesh["proxies"] {
  if (words === undefined) return live.proxies;
  return words.flatMap((word) => {
    const found = live.proxies.filter(
      ({ name }) => name === word || name.startsWith(`${word}-`) || name.startsWith(`${word}.`),
    );
    if (found.length > 0) return found;
    throw new WeftError("NotFound", `no connected proxy is named ${word}; see weft proxy-status`);
  });
}

async function runDiff(flags: DiffFlags): Promise<void> {
  using api = await openApi(flags);
  using live = await readMesh(api.client);
  const edit = await editOf(flags, api, live);
  const proxies = wanted(live, flags.proxy);
  const diff = diffMesh(openMesh(live.snapshot), live.snapshot, proxies, edit);
  const registry = loadRegistry();
  const json = (resource: EncodedResource): object => resourceJson(resource, registry);
  const { output } = flags;
  const text =
    output === "json" || output === "yaml"
      ? serialize(diffData(diff, json), output)
      : diffText(diff, proxies.length, {
          yaml: (resource) => stringify(json(resource), { lineWidth: 0, aliasDuplicateObjects: false }),
          paint: paintFor(process.stdout),
          summary: flags.summary === true,
        });
  process.stdout.write(text);
  if (diff.changes.length > 0) process.exitCode = 1;
}

/** `weft diff`: what a change would do to proxies, before anything is applied. */
export function diffCommand(program: Command): void {
  withApiFlags(program.command("diff"))
    .summary("show what a change would do to proxies, before it is applied")
    .description(
      "Shows which proxies' listeners, routes, clusters and endpoints would change, and how, if the objects of the files\n" +
        "were applied. Nothing is written. Ends with 0 when no proxy would change, 1 when some would, 2 on wrong use.",
    )
    .requiredOption("-f, --filename <file...>", "files with the objects as they would be; - is standard input")
    .option("-n, --namespace <name>", "namespace of objects that name none")
    .option("--delete", "as if the objects of the files were deleted")
    .option("--cluster <name>", "the member cluster that Services and the like of the files belong to")
    .option("--proxy <name...>", "only these proxies: pod.namespace, Pod or workload")
    .addOption(new Option("--summary", "only who would change, not how"))
    .addOption(outputOption(["table", "json", "yaml"]))
    .addHelpText(
      "after",
      "\nExamples:\n  weft diff -f reviews-90-10.yaml\n  weft diff -f reviews-90-10.yaml --proxy page --summary\n  weft diff --delete -f fault.yaml\n  weft diff --cluster east -f service.yaml -o json",
    )
    .action(runDiff);
}

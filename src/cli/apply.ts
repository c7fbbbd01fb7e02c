import { readFileSync } from "node:fs";
import type { Command } from "commander";
import { parseAllDocuments } from "yaml";
import type { ResourceObject } from "#api/meta.ts";
import { canonical, equal } from "#base/canonical.ts";
import { systemClock } from "#base/clock.ts";
import { WeftError, codeOf, messageOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { type ApiContext, type ApiFlags, openApi, withApiFlags } from "./context.ts";
import { wholeNumber } from "./output.ts";
import { type ApiResource, apiResources, resourceNamed, resourceOf, resourcePath } from "./resources.ts";
import { waitUntil } from "./wait.ts";

/** kubectl's annotation, so that both can be used on one object. */
const lastApplied = "kubectl.kubernetes.io/last-applied-configuration";

type Json = Readonly<Record<string, unknown>>;

/** An object to be applied, as a file has it. */
export interface Manifest extends Json {
  readonly apiVersion: string;
  readonly kind: string;
  readonly metadata: Json & { readonly name: string; readonly namespace?: string };
}

function isJson(value: unknown): value is Json {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function manifestOf(value: unknown, where: string): Manifest {
  const metadata = isJson(value) && isJson(value["metadata"]) ? value["metadata"] : {};
  if (
    !isJson(value) ||
    typeof value["apiVersion"] !== "string" ||
    typeof value["kind"] !== "string" ||
    typeof metadata["name"] !== "string"
  ) {
    throw new WeftError("InvalidArgument", `${where}: an object needs apiVersion, kind and metadata.name`);
  }
  return value as unknown as Manifest;
}

/**
 * The objects of a YAML or JSON text; lists are taken apart.
 * @param where names the text in messages.
 */
export function manifestsOf(text: string, where: string): readonly Manifest[] {
  return parseAllDocuments(text).flatMap((document) => {
    const [error] = document.errors;
    if (error) throw new WeftError("InvalidArgument", `${where}: ${error.message}`);
    const value: unknown = document.toJS();
    if (value === null || value === undefined) return [];
    const items = isJson(value) && Array.isArray(value["items"]) ? (value["items"] as unknown[]) : [value];
    return items.map((item) => manifestOf(item, where));
  });
}

/** Reads manifests of files; `-` is standard input. */
export function readManifests(files: readonly string[]): readonly Manifest[] {
  return files.flatMap((file) => {
    try {
      return manifestsOf(readFileSync(file === "-" ? 0 : file, "utf8"), file);
    } catch (error) {
      if (error instanceof WeftError) throw error;
      throw new WeftError("NotFound", `cannot read ${file}`, error);
    }
  });
}

/**
 * A merge patch (RFC 7386) that makes `live` hold what `wanted` says, and drops what was applied before and is no
 * longer wanted. What others wrote beside it stays.
 */
export function threeWayPatch(before: Json, wanted: Json, live: Json): Json {
  const dropped = Object.keys(before).filter((key) => !(key in wanted) && key in live);
  const changed = Object.entries(wanted).flatMap(([key, value]): [string, unknown][] => {
    const current = live[key];
    if (equal(value, current)) return [];
    if (!isJson(value) || !isJson(current)) return [[key, value]];
    const inner = threeWayPatch(isJson(before[key]) ? before[key] : {}, value, current);
    return Object.keys(inner).length === 0 ? [] : [[key, inner]];
  });
  return Object.fromEntries([...dropped.map((key): [string, unknown] => [key, null]), ...changed]);
}

function annotated(manifest: Manifest): Manifest {
  const annotations = isJson(manifest.metadata["annotations"]) ? manifest.metadata["annotations"] : {};
  const { [lastApplied]: _old, ...kept } = annotations;
  const bare = { ...manifest, metadata: { ...manifest.metadata, annotations: kept } };
  return { ...manifest, metadata: { ...manifest.metadata, annotations: { ...kept, [lastApplied]: canonical(bare) } } };
}

/** What applying an object did. */
export type Applied = "created" | "configured" | "unchanged";

/** How an object was applied, and how it stands now. */
export interface AppliedObject {
  readonly applied: Applied;
  readonly object: ResourceObject;
}

/**
 * Creates an object or changes it to what the manifest says.
 * @param dryRun says what would come of it, and writes nothing.
 */
export async function applyManifest(
  client: Client,
  resource: ApiResource,
  manifest: Manifest,
  namespace: string,
  dryRun = false,
): Promise<AppliedObject> {
  const query = { fieldValidation: "Strict", ...(dryRun && { dryRun: "All" }) };
  const wanted = annotated(manifest);
  const path = resourcePath(resource, namespace, manifest.metadata.name);
  let live: ResourceObject;
  try {
    live = await client.json<ResourceObject>({ method: "GET", path });
  } catch (error) {
    if (codeOf(error) !== "NotFound") throw error;
    const path = resourcePath(resource, namespace);
    const object = await client.json<ResourceObject>({ method: "POST", path, body: wanted, query });
    return { applied: "created", object };
  }
  const text = live.metadata.annotations?.[lastApplied];
  const before = text === undefined ? {} : (JSON.parse(text) as Json);
  const patch = threeWayPatch(before, wanted, live);
  // The record of what was applied is no change by itself.
  if (Object.keys(threeWayPatch(before, manifest, live)).length === 0 && text !== undefined)
    return { applied: "unchanged", object: live };
  const object = await client.json<ResourceObject>({
    method: "PATCH",
    path,
    body: patch,
    contentType: "application/merge-patch+json",
    query,
  });
  return { applied: "configured", object };
}

interface FileFlags extends ApiFlags {
  readonly filename: readonly string[];
  readonly namespace?: string;
  readonly wait?: number;
}

/** Waits until an API answers, where its server may still be starting. */
async function answers({ client }: ApiContext, limitMs: number): Promise<void> {
  let trouble = "";
  const asked = async (): Promise<boolean> => {
    try {
      await client.bytes({ method: "GET", path: "/readyz" });
      return true;
    } catch (error) {
      if (codeOf(error) !== "Unavailable" && codeOf(error) !== "DeadlineExceeded") throw error;
      trouble = messageOf(error);
      return false;
    }
  };
  const wait = { what: "the API answers", limitMs, hint: "see whether its server runs" };
  await waitUntil(wait, systemClock, new AbortController().signal, asked).catch((error: unknown) => {
    throw new WeftError(codeOf(error), `${messageOf(error)}: ${trouble}`, error);
  });
}

/** Applies manifests one after the other. */
async function applyAll(
  api: ApiContext,
  manifests: readonly Manifest[],
  namespace: string | undefined,
  say: (line: string) => void,
): Promise<void> {
  const resources = await apiResources(api.client);
  for (const manifest of manifests) {
    const resource = resourceOf(resources, manifest.apiVersion, manifest.kind);
    const { applied } = await applyManifest(
      api.client,
      resource,
      manifest,
      manifest.metadata.namespace ?? namespace ?? api.namespace,
    );
    say(`${resource.singular}/${manifest.metadata.name} ${applied}`);
  }
}

/** `weft apply`: objects from files, where kubectl is absent. */
export function applyCommand(program: Command): void {
  withApiFlags(program.command("apply"))
    .summary("create or change objects from files")
    .description(
      "Creates or changes objects from YAML or JSON files, as kubectl apply does; both may be used on one object.",
    )
    .requiredOption("-f, --filename <file...>", "files; - is standard input")
    .option("-n, --namespace <name>", "namespace of objects that name none")
    .option("--wait <seconds>", "how long the API may take until it answers", wholeNumber(1, 3600))
    .addHelpText(
      "after",
      "\nExamples:\n  weft apply -f virtualservice.yaml\n  cat rules.yaml | weft apply -n shop -f -",
    )
    .action(async (flags: FileFlags) => {
      using api = await openApi(flags);
      if (flags.wait !== undefined) await answers(api, flags.wait * 1000);
      await applyAll(api, readManifests(flags.filename), flags.namespace, (line) => console.log(line));
    });
}

/** `weft delete`: objects by name or from files, where kubectl is absent. */
export function deleteCommand(program: Command): void {
  withApiFlags(program.command("delete"))
    .summary("delete objects by name or from files")
    .argument("[kind]", "kind, plural or short name")
    .argument("[name...]", "names")
    .option("-f, --filename <file...>", "files that name the objects; - is standard input")
    .option("-n, --namespace <name>", "namespace; the kubeconfig's unless given")
    .addHelpText(
      "after",
      "\nExamples:\n  weft delete virtualservice reviews -n shop\n  weft delete -f virtualservice.yaml",
    )
    .action(async (kind: string | undefined, names: readonly string[], flags: Partial<FileFlags>) => {
      using api = await openApi(flags);
      const resources = await apiResources(api.client);
      const namespace = flags.namespace ?? api.namespace;
      const fromFiles = readManifests(flags.filename ?? []).map((one) => ({
        resource: resourceOf(resources, one.apiVersion, one.kind),
        namespace: one.metadata.namespace ?? namespace,
        name: one.metadata.name,
      }));
      const named =
        kind === undefined ? [] : names.map((name) => ({ resource: resourceNamed(resources, kind), namespace, name }));
      const targets = [...fromFiles, ...named];
      if (targets.length === 0)
        throw new WeftError("InvalidArgument", "nothing to delete: give a kind and names, or -f");
      for (const target of targets) {
        await api.client.bytes({
          method: "DELETE",
          path: resourcePath(target.resource, target.namespace, target.name),
        });
        console.log(`${target.resource.singular}/${target.name} deleted`);
      }
    });
}

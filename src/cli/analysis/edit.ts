import type { Edit, PlacedObject } from "#analysis/snapshot.ts";
import { kindOf } from "#api/kinds.ts";
import { groupOf, type ResourceObject } from "#api/meta.ts";
import type { Client } from "#kube/client.ts";
import { type Manifest, applyManifest, readManifests } from "../apply.ts";
import type { ApiContext } from "../context.ts";
import { apiResources, resourceOf, resourcePath } from "../resources.ts";
import { clusterMissing, type LiveMesh } from "./live-mesh.ts";

/** Flags that say which objects are changed. */
export interface EditFlags {
  readonly filename: readonly string[];
  readonly namespace?: string;
  readonly cluster?: string;
  readonly delete?: boolean;
}

/** An object of a file, and the API that holds it. */
interface Target {
  readonly manifest: Manifest;
  readonly client: Client;
  readonly cluster: string;
}

function targetOf(manifest: Manifest, api: ApiContext, live: LiveMesh, cluster: string | undefined): Target {
  const { apiVersion, kind, metadata } = manifest;
  const home = kindOf(groupOf(apiVersion), kind)?.home;
  // Namespaces and ConfigMaps may be the mesh's or a cluster's own: the mesh's, unless a cluster is named.
  if (home === "mesh" || (home === "both" && cluster === undefined)) {
    return { manifest, client: api.client, cluster: "" };
  }
  if (cluster === undefined) {
    throw clusterMissing(kind, metadata.name, live.clusters);
  }
  return { manifest, client: live.clusterClient(cluster), cluster };
}

/** The resources of each API that is asked, looked up once. */
type Known = Map<string, ReturnType<typeof apiResources>>;

async function resourceFor({ manifest, client, cluster }: Target, known: Known) {
  const all = await known.getOrInsertComputed(cluster, async () => apiResources(client));
  return resourceOf(all, manifest.apiVersion, manifest.kind);
}

/** What the API would make of an object, defaults filled in and validated; nothing is written. */
async function rehearsed(target: Target, known: Known, namespace: string): Promise<PlacedObject> {
  const { manifest, client, cluster } = target;
  const resource = await resourceFor(target, known);
  const { object } = await applyManifest(client, resource, manifest, manifest.metadata.namespace ?? namespace, true);
  return { object, cluster };
}

async function existing(target: Target, known: Known, namespace: string): Promise<PlacedObject> {
  const { manifest, client, cluster } = target;
  const resource = await resourceFor(target, known);
  const path = resourcePath(resource, manifest.metadata.namespace ?? namespace, manifest.metadata.name);
  return { object: await client.json<ResourceObject>({ method: "GET", path }), cluster };
}

/** What the objects of files would change, as the API would take them. */
export async function rehearsedEdit(flags: EditFlags, api: ApiContext, live: LiveMesh): Promise<Edit> {
  const namespace = flags.namespace ?? api.namespace;
  const targets = readManifests(flags.filename).map((each) => targetOf(each, api, live, flags.cluster));
  const known: Known = new Map();
  if (flags.delete === true) {
    return { put: [], removed: await Promise.all(targets.map(async (each) => existing(each, known, namespace))) };
  }
  return { put: await Promise.all(targets.map(async (each) => rehearsed(each, known, namespace))), removed: [] };
}

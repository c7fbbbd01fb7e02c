import type { Edit, PlacedObject } from "#analysis/snapshot.ts";
import { kindOf } from "#api/kinds.ts";
import { groupOf, type ResourceObject } from "#api/meta.ts";
import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { type Manifest, applyManifest, readManifests } from "../apply.ts";
import type { ApiContext } from "../context.ts";
import { apiResources, resourceOf, resourcePath } from "../resources.ts";
import type { LiveMesh } from "./live-mesh.ts";

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

/** What the objects of files would change, as the API would take them. */
export async function rehearsedEdit(flags: EditFlags, api: ApiContext, live: LiveMesh): Promise<Edit> {
  const namespace = flags.namespace ?? api.namespace;
  const targets = readManifests(flags.filename).map((each) => targetOf(each, api, live, flags.cluster));
  if (flags.delete === true) {
    return { put: [], removed: await Promise.all(targets.map(async (each) => existing(each, namespace))) };
  }
  return { put: await Promise.all(targets.map(async (each) => rehearsed(each, namespace))), removed: [] };
}

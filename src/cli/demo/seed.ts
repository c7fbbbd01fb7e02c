import { join } from "node:path";
import type { Client } from "#kube/client.ts";
import { applyManifest, manifestsOf, readManifests } from "../apply.ts";
import type { Manifest } from "../apply.ts";
import { apiResources, resourceOf } from "../resources.ts";
import { type DemoPorts, type Layout, demoClusters } from "./layout.ts";
import type { DemoWatcher } from "./watcher.ts";

const folder = join(import.meta.dirname, "..", "..", "..", "samples", "bookshop", "manifests");

/** The mesh and its clusters as objects of the mesh's API. */
function meshObjects(layout: Layout): readonly Manifest[] {
  const apiVersion = "mesh.weft.dev/v1alpha1";
  const clusters = demoClusters.map(({ name, network, region, zone }) => ({
    apiVersion,
    kind: "Cluster",
    metadata: { name },
    spec: { network, region, zone, server: `unix://${layout.apiSocket(name)}` },
  }));
  return [{ apiVersion, kind: "Mesh", metadata: { name: "default" }, spec: {} }, ...clusters];
}

function sample(endpoint: string, ports: DemoPorts): readonly Manifest[] {
  const file = join(folder, `${endpoint}.yaml`);
  const manifests = readManifests([file]);
  const text = JSON.stringify({ items: manifests }).replaceAll(/("hostPort":)18080\b/g, `$1${ports.gateway}`);
  return manifestsOf(text, file);
}

async function applyTo(client: Client, manifests: readonly Manifest[]): Promise<void> {
  const resources = await apiResources(client);
  for (const manifest of manifests) {
    const resource = resourceOf(resources, manifest.apiVersion, manifest.kind);
    await applyManifest(client, resource, manifest, manifest.metadata.namespace ?? "default");
  }
}

/** Creates the mesh, its clusters and the bookshop; what is there from an earlier run is brought up to date. */
export async function seed(watcher: DemoWatcher, layout: Layout, ports: DemoPorts): Promise<void> {
  await applyTo(watcher.client("mesh"), [...meshObjects(layout), ...sample("mesh", ports)]);
  await Promise.all(demoClusters.map(async ({ name }) => applyTo(watcher.client(name), sample(name, ports))));
}

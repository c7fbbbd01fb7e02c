import type { ResourceObject } from "#api/meta.ts";
import { untranslatedFinding } from "#api/untranslated.ts";
import type { Cluster } from "#api/weft/cluster.ts";
import type { Mesh } from "#api/weft/mesh.ts";
import { Engine } from "#incremental/engine.ts";
import { createModel, type Model } from "#model/model.ts";
import { createTranslator, type Translator } from "#translate/translator.ts";

/** An object, and which member cluster holds it; empty for the mesh's own. */
export interface PlacedObject {
  readonly object: ResourceObject;
  readonly cluster: string;
}

/** A mesh at one moment, as plain objects. `Cluster` and `Mesh` objects are among them. */
export type MeshSnapshot = readonly PlacedObject[];

/** A snapshot as the control plane would see it: every question can be asked of it, and it can be changed. */
export interface OpenMesh {
  readonly engine: Engine;
  readonly model: Model;
  readonly translator: Translator;
}

/** What is done to a mesh's objects. */
export interface Edit {
  /** Objects as they would be. */
  readonly put: readonly PlacedObject[];
  /** Objects that would be gone. */
  readonly removed: readonly PlacedObject[];
}

/** An object's place among all of a snapshot. */
export function placeOf({ object, cluster }: PlacedObject): string {
  const { namespace = "", name } = object.metadata;
  const [group = ""] = object.apiVersion.includes("/") ? object.apiVersion.split("/") : [];
  return [cluster, group, object.kind, namespace, name].join("|");
}

/** Whether an object is of a kind that is not translated: some of those have names that translated ones have. */
function isUntranslated({ apiVersion, kind, metadata }: ResourceObject): boolean {
  const group = apiVersion.includes("/") ? (apiVersion.split("/")[0] ?? "") : "";
  return untranslatedFinding({ group, kind, name: metadata.name }) !== undefined;
}

function put({ inputs }: Model, { object, cluster }: PlacedObject): void {
  if (isUntranslated(object)) return;
  if (object.kind === "Cluster") {
    inputs.putCluster(object.metadata.name, (object as unknown as Cluster).spec.network ?? "");
  } else if (object.kind === "Mesh") inputs.setMesh((object as unknown as Mesh).spec);
  else inputs.put(object, cluster);
}

function remove({ inputs }: Model, { object, cluster }: PlacedObject): void {
  if (isUntranslated(object)) return;
  const { namespace = "", name } = object.metadata;
  if (object.kind === "Cluster") inputs.removeCluster(name);
  else if (object.kind === "Mesh") inputs.setMesh({});
  else inputs.remove(object.kind, { namespace, name }, cluster);
}

/** Changes an open mesh. */
export function edit({ engine, model }: OpenMesh, { put: changed, removed }: Edit): void {
  engine.change(() => {
    for (const each of changed) put(model, each);
    for (const each of removed) remove(model, each);
  });
}

/** Opens a snapshot; with `traced` resources say what made them (`translate/trace.ts`). */
export function openMesh(snapshot: MeshSnapshot, { traced = false } = {}): OpenMesh {
  const engine = new Engine();
  const model = createModel(engine);
  const mesh = { engine, model, translator: createTranslator(engine, model, { traced }) };
  edit(mesh, { put: snapshot, removed: [] });
  return mesh;
}

/** A snapshot after an edit. */
export function edited(snapshot: MeshSnapshot, { put: changed, removed }: Edit): MeshSnapshot {
  const objects = new Map(snapshot.map((each) => [placeOf(each), each]));
  for (const each of changed) objects.set(placeOf(each), each);
  for (const each of removed) objects.delete(placeOf(each));
  return [...objects.values()];
}

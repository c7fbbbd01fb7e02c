import { refKey, refOf, type ResourceObject } from "#api/meta.ts";
import { untranslatedFinding } from "#api/untranslated.ts";
import type { Cluster } from "#api/weft/cluster.ts";
import { Validator } from "#api/validation.ts";
import type { Mesh } from "#api/weft/mesh.ts";
import { Engine } from "#incremental/engine.ts";
import { configMapPlace, readMeshConfig, SettingsParts } from "#model/mesh-config.ts";
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
  readonly settings: SettingsParts;
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
  return refKey(refOf(object, cluster));
}

/** Whether an object is of a kind that is not translated: some of those have names that translated ones have. */
function isUntranslated(object: ResourceObject): boolean {
  return untranslatedFinding(refOf(object)) !== undefined;
}

/** Whether an object is the ConfigMap with Istio's MeshConfig; what it says is passed over where it is not valid. */
export function isMeshConfig({ object: { kind, metadata }, cluster }: PlacedObject): boolean {
  const { namespace, name } = configMapPlace;
  return kind === "ConfigMap" && cluster === "" && metadata.namespace === namespace && metadata.name === name;
}

function put({ model: { inputs }, settings }: OpenMesh, placed: PlacedObject): void {
  const { object, cluster } = placed;
  if (isUntranslated(object)) return;
  if (object.kind === "Cluster") {
    inputs.putCluster(object.metadata.name, (object as unknown as Cluster).spec.network ?? "");
  } else if (object.kind === "Mesh") inputs.setMesh(settings.setMesh((object as unknown as Mesh).spec));
  else if (isMeshConfig(placed)) {
    const reading = readMeshConfig(object, new Validator());
    if ("config" in reading) inputs.setMesh(settings.setConfigMap(reading.config));
  } else inputs.put(object, cluster);
}

function remove({ model: { inputs }, settings }: OpenMesh, placed: PlacedObject): void {
  const { object, cluster } = placed;
  if (isUntranslated(object)) return;
  const { namespace = "", name } = object.metadata;
  if (object.kind === "Cluster") inputs.removeCluster(name);
  else if (object.kind === "Mesh") inputs.setMesh(settings.setMesh({}));
  else if (isMeshConfig(placed)) inputs.setMesh(settings.setConfigMap({}));
  else inputs.remove(object.kind, { namespace, name }, cluster);
}

/** Changes an open mesh. */
export function edit(mesh: OpenMesh, { put: changed, removed }: Edit): void {
  mesh.engine.change(() => {
    for (const each of changed) put(mesh, each);
    for (const each of removed) remove(mesh, each);
  });
}

/** How a snapshot is opened. */
interface OpenOptions {
  /** Whether resources say what made them (`translate/trace.ts`). */
  readonly traced?: boolean;
  /** Milliseconds since the epoch, by which certificates are judged; they count as valid unless given. */
  readonly now?: number;
}

/** Opens a snapshot. */
export function openMesh(snapshot: MeshSnapshot, { traced = false, now }: OpenOptions = {}): OpenMesh {
  const engine = new Engine();
  const model = createModel(engine);
  const settings = new SettingsParts();
  const mesh = { engine, model, settings, translator: createTranslator(engine, model, { traced }) };
  if (now !== undefined) model.inputs.setTime(now);
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

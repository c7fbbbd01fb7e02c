import { configMap } from "#api/kubernetes/config-map.ts";
import type { ResourceObject } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";
import { type Mesh, mesh } from "#api/weft/mesh.ts";
import type { Logger } from "#base/logger.ts";
import { configMapPlace, readMeshConfig, SettingsParts } from "#model/mesh-config.ts";
import type { MeshConfig, MeshConfigState } from "#api/istio/mesh-config.ts";
import type { Model } from "#model/model.ts";
import type { Feed } from "./feed.ts";

/** Who is told of what is wrong. */
interface SettingsContext {
  readonly logger: Logger;
  readonly took?: (state: MeshConfigState) => void;
}

/** Follows the mesh's settings in both places: Istio's ConfigMap, and the `Mesh` object. */
export class MeshSettingsFeeds {
  readonly #model: Model;
  readonly #logger: Logger;
  readonly #validator = new Validator();
  readonly #name: string;
  readonly #parts = new SettingsParts();

  readonly #took: (state: MeshConfigState) => void;

  /** @param name the `Mesh` object's name. */
  constructor(model: Model, name: string, { logger, took = () => undefined }: SettingsContext) {
    this.#took = took;
    this.#model = model;
    this.#name = name;
    this.#logger = logger;
  }

  /** What must be followed. */
  get feeds(): readonly Feed[] {
    const { namespace, name } = configMapPlace;
    return [
      {
        kind: mesh,
        put: (object) => this.#setMesh(object, (object as unknown as Mesh).spec),
        remove: (object) => this.#setMesh(object, {}),
      },
      {
        kind: configMap,
        selection: { namespace, fieldSelector: `metadata.name=${name}` },
        put: (object) => this.#read(object),
        remove: () => {
          this.#took({ missing: [] });
          this.#model.inputs.setMesh(this.#parts.setConfigMap({}));
        },
      },
    ];
  }

  #setMesh(object: ResourceObject, config: MeshConfig): void {
    if (object.metadata.name === this.#name) this.#model.inputs.setMesh(this.#parts.setMesh(config));
  }

  #read(object: ResourceObject): void {
    const reading = readMeshConfig(object, this.#validator);
    this.#took("config" in reading ? { missing: reading.missing } : { problem: reading.problem, missing: [] });
    if ("config" in reading) {
      this.#model.inputs.setMesh(this.#parts.setConfigMap(reading.config));
      return;
    }
    this.#logger.error("Istio's ConfigMap is not valid; what it said before goes on", {
      configMap: `${configMapPlace.namespace}/${configMapPlace.name}`,
      problem: reading.problem,
    });
  }
}

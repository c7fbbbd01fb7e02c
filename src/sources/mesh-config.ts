import { parse } from "yaml";
import { configMap } from "#api/kubernetes/config-map.ts";
import type { ResourceObject } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";
import { type Mesh, mesh } from "#api/weft/mesh.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { MeshConfig } from "#model/mesh.ts";
import type { Model } from "#model/model.ts";
import type { Feed } from "./feed.ts";

/** Where Istio keeps its MeshConfig, under the key `mesh`. */
const place = { namespace: "istio-system", name: "istio" } as const;

/** A MeshConfig that was read, or what is wrong with it. */
type Reading = { readonly config: MeshConfig } | { readonly problem: string };

/** Members in the form of protobuf's own names, which Istio takes too, in that of JSON: `connect_timeout`. */
function camelCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCased);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, member]) => [
    key.replaceAll(/_([a-z0-9])/g, (_whole, letter: string) => letter.toUpperCase()),
    camelCased(member),
  ]);
  return Object.fromEntries(entries) as unknown;
}

/**
 * Reads a MeshConfig from the text of Istio's ConfigMap. Members that Weft does not know are passed over, as Istio does
 * with those of other releases; the others must be valid as they would be in a `Mesh`.
 */
export function readMeshConfig(text: string, validator: Validator): Reading {
  let parsed: unknown;
  try {
    parsed = parse(text);
  } catch (error) {
    return { problem: messageOf(error) };
  }
  if (typeof parsed !== "object" || Array.isArray(parsed)) return { problem: "it is not an object" };
  const head = { apiVersion: `${mesh.group}/${mesh.versions[0].name}`, kind: mesh.kind };
  const metadata = { name: "from-config-map", uid: "", creationTimestamp: "2026-01-01T00:00:00Z" };
  const { object, errors } = validator.admit(mesh, { ...head, metadata, spec: camelCased(parsed ?? {}) });
  if (errors.length > 0) {
    return { problem: errors.map(({ field, message }) => `${field.replace(/^spec\.?/, "")}: ${message}`).join("; ") };
  }
  const { trustDomain: _weft, ...config } = (object as unknown as Mesh).spec;
  return { config };
}

/**
 * The mesh's settings from both places that have them: Istio's ConfigMap, and the `Mesh` object, which goes before it member
 * by member.
 */
export class MeshSettingsFeeds {
  readonly #model: Model;
  readonly #logger: Logger;
  readonly #validator = new Validator();
  readonly #name: string;
  #ofMesh: MeshConfig = {};
  #ofConfigMap: MeshConfig = {};

  /** @param name the `Mesh` object's name. */
  constructor(model: Model, name: string, logger: Logger) {
    this.#model = model;
    this.#name = name;
    this.#logger = logger;
  }

  /** What must be followed. */
  get feeds(): readonly Feed[] {
    return [
      {
        kind: mesh,
        put: (object) => this.#setMesh(object, (object as unknown as Mesh).spec),
        remove: (object) => this.#setMesh(object, {}),
      },
      {
        kind: configMap,
        selection: { namespace: place.namespace, fieldSelector: `metadata.name=${place.name}` },
        put: (object) => this.#read(object),
        remove: () => this.#setConfigMap({}),
      },
    ];
  }

  #setMesh(object: ResourceObject, config: MeshConfig): void {
    if (object.metadata.name !== this.#name) return;
    this.#ofMesh = config;
    this.#merge();
  }

  #setConfigMap(config: MeshConfig): void {
    this.#ofConfigMap = config;
    this.#merge();
  }

  #read({ data }: ResourceObject): void {
    const { mesh: text = "" } = (data ?? {}) as { readonly mesh?: string };
    const reading = readMeshConfig(text, this.#validator);
    if ("config" in reading) {
      this.#setConfigMap(reading.config);
      return;
    }
    this.#logger.error("Istio's ConfigMap is not valid; what it said before goes on", {
      configMap: `${place.namespace}/${place.name}`,
      problem: reading.problem,
    });
  }

  #merge(): void {
    this.#model.inputs.setMesh({ ...this.#ofConfigMap, ...this.#ofMesh });
  }
}

import { parse } from "yaml";
import type { MeshConfig } from "#api/istio/mesh-config.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Validator } from "#api/validation.ts";
import { type Mesh, mesh } from "#api/weft/mesh.ts";
import { messageOf } from "#base/errors.ts";
import { missingMembers } from "./mesh-config-missing.ts";

/** The ConfigMap in which Istio keeps its MeshConfig, under the key `mesh`. */
export const configMapPlace = { namespace: "istio-system", name: "istio" } as const;

/** A MeshConfig that was read, or what is wrong with it. */
export type MeshReading =
  | {
      readonly config: MeshConfig;
      /** Members that have no effect, each with the reason. */
      readonly missing: readonly string[];
    }
  | { readonly problem: string };

/** Members whose own members are names of the user's. */
const free: ReadonlySet<string> = new Set(
  "proxyMetadata proxy_metadata runtimeValues runtime_values matchLabels match_labels to".split(" "),
);

/** Members in the form of protobuf's own names, which Istio takes too, in that of JSON: `connect_timeout`. */
function camelCased(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(camelCased);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).map(([key, member]) => [
    key.replaceAll(/_([a-z0-9])/gi, (_whole, letter: string) => letter.toUpperCase()),
    free.has(key) ? member : camelCased(member),
  ]);
  return Object.fromEntries(entries) as unknown;
}

/**
 * Reads a MeshConfig from Istio's ConfigMap. Members that Weft does not know are passed over, as Istio does
 * with those of other releases; the others must be valid as they would be in a `Mesh`.
 */
export function readMeshConfig({ data }: ResourceObject, validator: Validator): MeshReading {
  const { mesh: text = "" } = (data ?? {}) as { readonly mesh?: string };
  let parsed: unknown;
  try {
    parsed = parse(text);
  } catch (error) {
    return { problem: messageOf(error) };
  }
  if (typeof parsed !== "object" || Array.isArray(parsed)) return { problem: "it is not an object" };
  const head = { apiVersion: `${mesh.group}/${mesh.versions[0].name}`, kind: mesh.kind };
  const metadata = { name: "from-config-map", uid: "", creationTimestamp: "2026-01-01T00:00:00Z" };
  const spec = camelCased(parsed ?? {});
  const { object, errors } = validator.admit(mesh, { ...head, metadata, spec });
  if (errors.length > 0) {
    return { problem: errors.map(({ field, message }) => `${field.replace(/^spec\.?/, "")}: ${message}`).join("; ") };
  }
  const { trustDomain: _weft, ...config } = (object as unknown as Mesh).spec;
  return { config, missing: missingMembers(spec) };
}

/** The mesh's settings from both places that have them. The `Mesh` object goes before the ConfigMap, member by member. */
export class SettingsParts {
  #ofMesh: MeshConfig = {};
  #ofConfigMap: MeshConfig = {};

  /** Takes the specification of the `Mesh` object, and returns all settings. */
  setMesh(config: MeshConfig): MeshConfig {
    this.#ofMesh = config;
    return { ...this.#ofConfigMap, ...this.#ofMesh };
  }

  /** Takes what the ConfigMap says, and returns all settings. */
  setConfigMap(config: MeshConfig): MeshConfig {
    this.#ofConfigMap = config;
    return { ...this.#ofConfigMap, ...this.#ofMesh };
  }
}

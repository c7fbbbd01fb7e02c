import { parse } from "yaml";
import type { MeshProxyConfig } from "#api/istio/mesh-proxy-config.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Validator } from "#api/validation.ts";
import { type Mesh, mesh } from "#api/weft/mesh.ts";
import { messageOf } from "#base/errors.ts";
import { defaultTrustDomain, type MeshInput } from "./mesh.ts";
import { missingMembers } from "./mesh-config-missing.ts";

/** The ConfigMap in which Istio keeps its MeshConfig, under the key `mesh`, and its MeshNetworks, under `meshNetworks`. */
export const configMapPlace = { namespace: "istio-system", name: "istio" } as const;

/** A MeshConfig that was read, or what is wrong with it. */
export type MeshReading =
  | {
      readonly config: MeshInput;
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

/** A part of the ConfigMap as an object. */
function parsedPart(text: string): Readonly<Record<string, unknown>> {
  // Its warnings would be written to standard error, for whatever users write.
  const parsed: unknown = parse(text, { logLevel: "error" }) ?? {};
  if (typeof parsed !== "object" || Array.isArray(parsed)) throw new TypeError("it is not an object");
  return parsed as Record<string, unknown>;
}

/** Networks by their names, which are kept as they are. */
function networksOf({ networks }: Readonly<Record<string, unknown>>): object {
  if (typeof networks !== "object" || networks === null || Array.isArray(networks)) return {};
  const named = Object.entries(networks).map(([name, network]) => [name, camelCased(network ?? {})]);
  return { meshNetworks: Object.fromEntries(named) as unknown };
}

/**
 * Reads the members of a MeshConfig. Those that Weft does not know are passed over, as Istio does with those of other
 * releases; the others must be valid as they would be in a `Mesh`.
 */
function readMembers(spec: object, validator: Validator): MeshReading {
  const head = { apiVersion: `${mesh.group}/${mesh.versions[0].name}`, kind: mesh.kind };
  const metadata = { name: "from-config-map", uid: "", creationTimestamp: "2026-01-01T00:00:00Z" };
  const { object, errors } = validator.admit(mesh, { ...head, metadata, spec });
  if (errors.length > 0) {
    return { problem: errors.map(({ field, message }) => `${field.replace(/^spec\.?/, "")}: ${message}`).join("; ") };
  }
  const {
    trustDomain,
    discovery: _discovery,
    forgetCallsAfter: _forget,
    hijack: _hijack,
    profile: _profile,
    ...config
  } = (object as unknown as Mesh).spec;
  const named = trustDomain === defaultTrustDomain ? {} : { trustDomain };
  return { config: { ...config, ...named }, missing: missingMembers(spec) };
}

/** Reads a MeshConfig and MeshNetworks from Istio's ConfigMap. */
export function readMeshConfig({ data }: ResourceObject, validator: Validator): MeshReading {
  const { mesh: text = "", meshNetworks = "" } = (data ?? {}) as { readonly mesh?: string; meshNetworks?: string };
  let spec: object;
  try {
    spec = { ...(camelCased(parsedPart(text)) as object), ...networksOf(parsedPart(meshNetworks)) };
  } catch (error) {
    return { problem: messageOf(error) };
  }
  return readMembers(spec, validator);
}

/**
 * Reads a ProxyConfig of Istio's MeshConfig.
 * @param text YAML or JSON, in JSON's or in protobuf's names; members that Weft does not know are passed over.
 * @returns undefined where it is not valid: then Istio too goes on without it.
 */
export function readProxyConfig(text: string, validator: Validator): MeshProxyConfig | undefined {
  try {
    const reading = readMembers({ defaultConfig: camelCased(parsedPart(text)) }, validator);
    return "config" in reading ? reading.config.defaultConfig : undefined;
  } catch {
    return undefined;
  }
}

/**
 * The mesh's settings from both places that have them. The `Mesh` object goes before the ConfigMap, member by member; its
 * trust domain, which it always has, only where it is not the default.
 */
export class SettingsParts {
  #ofMesh: MeshInput = {};
  #ofConfigMap: MeshInput = {};

  /** Takes the specification of the `Mesh` object, and returns all settings. */
  setMesh(config: MeshInput): MeshInput {
    const { trustDomain, ...others } = config;
    const isNamed = trustDomain !== undefined && trustDomain !== defaultTrustDomain;
    this.#ofMesh = isNamed ? config : others;
    return { ...this.#ofConfigMap, ...this.#ofMesh };
  }

  /** Takes what the ConfigMap says, and returns all settings. */
  setConfigMap(config: MeshInput): MeshInput {
    this.#ofConfigMap = config;
    return { ...this.#ofConfigMap, ...this.#ofMesh };
  }
}

import { parse } from "yaml";
import type { ResourceObject } from "#api/meta.ts";
import { configMapPlace, readMeshConfig } from "#model/mesh-config.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import { refOf } from "#api/meta.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** The ConfigMap with Istio's MeshConfig, if there is one. */
function configMapOf({ snapshot }: MeshObjects): ResourceObject | undefined {
  const { namespace, name } = configMapPlace;
  return snapshot.find(
    ({ object: { kind, metadata }, cluster }) =>
      kind === "ConfigMap" && cluster === "" && metadata.namespace === namespace && metadata.name === name,
  )?.object;
}

/** A MeshConfig as far as only analysis reads it. */
interface Providers {
  readonly defaultProviders?: { readonly accessLogging?: unknown };
}

/** Whether the MeshConfig says which providers log where a Telemetry names none. */
export function hasDefaultLogging(objects: MeshObjects): boolean {
  const data = configMapOf(objects)?.["data"] as { readonly mesh?: string } | undefined;
  try {
    const config = parse(data?.mesh ?? "") as Providers | null;
    const named = config?.defaultProviders?.accessLogging;
    return Array.isArray(named) && named.length > 0;
  } catch {
    // What is not valid is told of as such.
    return false;
  }
}

function* problems(objects: MeshObjects): Generator<Problem> {
  const object = configMapOf(objects);
  const reading = object && readMeshConfig(object, objects.validator);
  if (!object || !reading) return;
  if ("config" in reading) {
    for (const text of reading.missing) {
      const field = `data.mesh.${text.slice(0, text.indexOf(" "))}`;
      yield problemOf(refOf(object, ""), { code: "NotImplemented", severity: "info", field, message: `${text}.` });
    }
    return;
  }
  const message = `The MeshConfig is passed over: ${reading.problem}`;
  yield problemOf(refOf(object, ""), { code: "SchemaValidationError", severity: "error", field: "data.mesh", message });
}

/** Istio's MeshConfig in its ConfigMap. */
export const meshConfigAnalyzer: Analyzer = {
  name: "schema.MeshConfigAnalyzer",
  description: "Checks the MeshConfig in Istio's ConfigMap",
  problems,
};

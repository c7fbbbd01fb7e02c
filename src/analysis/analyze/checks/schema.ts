import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import { kindOfObject } from "#api/kinds.ts";
import type { ResourceObject } from "#api/meta.ts";
import { refOf } from "#api/meta.ts";
import { problemOf, type Analyzer } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";
import { splitWarning, unusedWarnings } from "../rule-order.ts";

function unused({ kind, spec }: ResourceObject): ReadonlySet<string> {
  return kind === "VirtualService" ? unusedWarnings(spec as VirtualServiceSpec) : new Set();
}

function warningProblem(object: ResourceObject, warning: string, isUnused: boolean): Problem {
  const ref = refOf(object, "");
  const { field, text } = splitWarning(warning);
  if (!isUnused) return problemOf(ref, { code: "SchemaWarning", field, message: `${field}: ${text}` });
  const code = /\.match\[\d+\]$/.test(field) ? "VirtualServiceIneffectiveMatch" : "VirtualServiceUnreachableRule";
  return problemOf(ref, { code, field, message: `${field}: ${text}` });
}

function* problems({ snapshot, validator }: MeshObjects): Generator<Problem> {
  for (const { object, cluster } of snapshot) {
    const kind = kindOfObject(object);
    if (!kind || cluster !== "" || !kind.group.endsWith(".istio.io")) continue;
    const { errors, warnings } = validator.admit(kind, object);
    const ref = refOf(object, "");
    for (const { field, message } of errors) {
      const text = `${field}: ${message}`;
      yield problemOf(ref, { code: "SchemaValidationError", severity: "error", field, message: text });
    }
    const never = unused(object);
    for (const warning of warnings) yield warningProblem(object, warning, never.has(warning));
  }
}

/** What the API itself says of objects. */
export const schemaAnalyzer: Analyzer = {
  name: "schema.ValidationAnalyzer",
  description: "Checks objects as the API does: errors, and warnings of what is accepted",
  problems,
};

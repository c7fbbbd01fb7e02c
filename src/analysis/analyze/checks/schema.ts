import { FieldPath } from "#api/field.ts";
import { shadowedPrefixes, unusedRules } from "#api/istio/unreachable-rules.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import { kindOfObject } from "#api/kinds.ts";
import type { ResourceObject } from "#api/meta.ts";
import { Validator } from "#api/validation.ts";
import { refOf } from "../mesh-objects.ts";
import { problemOf, type Analyzer } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** The warnings of a VirtualService that are about rules and matches that are never used. */
function unused({ kind, spec }: ResourceObject): ReadonlySet<string> {
  if (kind !== "VirtualService") return new Set();
  const { http = [], tls = [], tcp = [] } = (spec ?? {}) as VirtualServiceSpec;
  const at = FieldPath.root.field("spec");
  return new Set([
    ...unusedRules(http, at.field("http")),
    ...shadowedPrefixes(http, at.field("http")),
    ...unusedRules(tls, at.field("tls")),
    ...unusedRules(tcp, at.field("tcp")),
  ]);
}

/** Warnings begin with the path of their field. */
function split(warning: string): { readonly field: string; readonly text: string } {
  const end = warning.indexOf(": ");
  return { field: warning.slice(0, end), text: warning.slice(end + 2) };
}

function warningProblem(object: ResourceObject, warning: string, isUnused: boolean): Problem {
  const ref = refOf(object, "");
  const { field, text } = split(warning);
  if (!isUnused) return problemOf(ref, { code: "SchemaWarning", field, message: `${field}: ${text}` });
  const code = /\.match\[\d+\]$/.test(field) ? "VirtualServiceIneffectiveMatch" : "VirtualServiceUnreachableRule";
  return problemOf(ref, { code, field, message: `${field}: ${text}` });
}

function* problems({ snapshot }: MeshObjects): Generator<Problem> {
  const validator = new Validator();
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

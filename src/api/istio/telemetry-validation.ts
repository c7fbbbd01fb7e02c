import { parseDuration } from "#base/duration.ts";
import { FieldPath, forbidden, invalid, required, warning } from "../field.ts";
import type { Errors } from "./names.ts";
import { targetWarnings, validateTargets } from "./policy-validation.ts";
import type { AccessLogging, Metrics, Telemetry, Tracing } from "./telemetry.ts";
import type { Warnings } from "./warnings.ts";

function* validateTracing({ customTags = {} }: Tracing, path: FieldPath): Errors {
  if (Object.hasOwn(customTags, "")) yield invalid(path.field("customTags"), "", "a tag's name must not be empty");
}

function* validateMetrics({ overrides = [], reportingInterval }: Metrics, path: FieldPath): Errors {
  if (reportingInterval !== undefined && parseDuration(reportingInterval) < 1) {
    yield invalid(path.field("reportingInterval"), reportingInterval, "must be a millisecond or more");
  }
  for (const [index, { tagOverrides = {} }] of overrides.entries()) {
    for (const [name, { operation = "UPSERT", value }] of Object.entries(tagOverrides)) {
      const at = path.field("overrides").item(index).field("tagOverrides").key(name).field("value");
      if (operation === "UPSERT" && !value) yield required(at, "UPSERT needs one");
      if (operation === "REMOVE" && value !== undefined) yield forbidden(at, "only with the operation UPSERT");
    }
  }
}

/** Expressions are read only where they are carried out, but for one that says nothing. */
function* validateLogging({ filter }: AccessLogging, path: FieldPath): Errors {
  if (filter !== undefined && (filter.expression ?? "").trim() === "") {
    yield required(path.field("filter", "expression"));
  }
}

/** Checks a Telemetry as Istio's CRD and webhook do. */
export function* validateTelemetry({ spec }: Telemetry): Errors {
  const path = FieldPath.root.field("spec");
  yield* validateTargets(spec, path);
  for (const [index, one] of (spec.tracing ?? []).entries()) {
    yield* validateTracing(one, path.field("tracing").item(index));
  }
  for (const [index, one] of (spec.metrics ?? []).entries()) {
    yield* validateMetrics(one, path.field("metrics").item(index));
  }
  for (const [index, one] of (spec.accessLogging ?? []).entries()) {
    yield* validateLogging(one, path.field("accessLogging").item(index));
  }
}

/** What Istio warns of in a Telemetry. */
export function* telemetryWarnings({ spec }: Telemetry): Warnings {
  const path = FieldPath.root.field("spec");
  yield* targetWarnings(spec, path);
  const { tracing = [], metrics = [] } = spec;
  if (tracing.length > 1) yield warning(path.field("tracing"), "only the first entry has effect");
  for (const [index, { providers = [] }] of tracing.entries()) {
    const at = path.field("tracing").item(index).field("providers");
    if (providers.length > 1) yield warning(at, "only the first provider has effect");
  }
  for (const [index, { overrides = [] }] of metrics.entries()) {
    for (const [at, { tagOverrides = {} }] of overrides.entries()) {
      if (!Object.hasOwn(tagOverrides, "")) continue;
      const field = path.field("metrics").item(index).field("overrides").item(at).field("tagOverrides");
      yield warning(field, "a tag's name should not be empty");
    }
  }
}

import type { TelemetrySpec } from "#api/istio/telemetry.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";
import { hasDefaultLogging } from "./mesh-config.ts";

function* providers(objects: MeshObjects): Generator<Problem> {
  if (hasDefaultLogging(objects)) return;
  for (const { ref, spec } of objects.all<TelemetrySpec>("Telemetry")) {
    for (const [index, { disabled, providers: named = [] }] of (spec.accessLogging ?? []).entries()) {
      if (disabled === true || named.length > 0) continue;
      const field = `spec.accessLogging[${index}]`;
      const message =
        "No provider is named, and the mesh has no default: this is ignored. Name a provider, such as envoy.";
      yield problemOf(ref, { code: "InvalidTelemetryProvider", field, message });
    }
  }
}

/** Telemetries that go nowhere. */
export const telemetryProviderAnalyzer: Analyzer = {
  name: "telemetry.ProviderAnalyzer",
  description: "Checks that access logging of Telemetries has providers",
  problems: providers,
};

import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { FieldPath, required } from "../field.ts";
import { choice, definition, object, string, type Value } from "../schema.ts";
import { istioName } from "./common.ts";
import { istioKind } from "./kind.ts";
import type { Errors } from "./names.ts";
import { policyTargets } from "./policy.ts";
import { targetWarnings, validateTargets } from "./policy-validation.ts";
import type { IstioStatus } from "./status.ts";
import { moduleUrl, placeFields, wasmFields } from "./wasm.ts";
import { validateModule, validateTraffic } from "./wasm-validation.ts";

export const TrafficExtensionSpec = definition(
  istioName("TrafficExtensionSpec", "extensions"),
  object(
    "Which proxies run which extension, and where in their chain of filters.",
    {},
    {
      ...policyTargets,
      ...placeFields,
      phase: choice("Where the extension stands among filters of policies: after them all unless set.", [
        "UNSPECIFIED",
        "AUTHN",
        "AUTHZ",
        "STATS",
      ]),
      wasm: object("A WebAssembly module.", { url: moduleUrl }, wasmFields),
      lua: object("A Lua script.", { inlineCode: string("The script.", { minLength: 1, maxLength: 65_536 }) }, {}),
    },
    { oneOf: [["wasm", "lua"]] },
  ),
);
export type TrafficExtensionSpec = Value<typeof TrafficExtensionSpec>;

/** Istio's `extensions.istio.io/v1alpha1.TrafficExtension`. */
export type TrafficExtension = Resource<{ readonly spec: TrafficExtensionSpec; readonly status?: IstioStatus }>;

const path = FieldPath.root.field("spec");

function* validate({ spec }: TrafficExtension): Errors {
  yield* validateTargets(spec, path);
  if (spec.wasm === undefined && spec.lua === undefined) yield required(path, "wasm or lua");
  if (spec.wasm !== undefined) yield* validateModule(spec.wasm, path.field("wasm"));
  yield* validateTraffic(spec.match, path.field("match"));
}

export const trafficExtension: Kind = istioKind({
  group: "extensions.istio.io",
  versions: [{ name: "v1alpha1" }],
  kind: "TrafficExtension",
  plural: "trafficextensions",
  shortNames: [],
  description: "A WebAssembly module or a Lua script that filters what some proxies handle.",
  spec: TrafficExtensionSpec,
  columns: [],
  validate: (object) => validate(object as TrafficExtension),
  warnings: (object) => targetWarnings((object as TrafficExtension).spec, path),
});

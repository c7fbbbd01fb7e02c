import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { FieldPath } from "../field.ts";
import { choice, definition, object, type Value } from "../schema.ts";
import { istioName } from "./common.ts";
import { istioKind } from "./kind.ts";
import type { Errors } from "./names.ts";
import { policyTargetsWithOne } from "./policy.ts";
import { targetWarnings, validateTargets } from "./policy-validation.ts";
import type { IstioStatus } from "./status.ts";
import { moduleUrl, placeFields, wasmFields } from "./wasm.ts";
import { validateModule, validateTraffic } from "./wasm-validation.ts";

export const WasmPluginSpec = definition(
  istioName("WasmPluginSpec", "extensions"),
  object(
    "Which proxies run which module, and where in their chain of filters.",
    { url: moduleUrl },
    {
      ...policyTargetsWithOne,
      ...wasmFields,
      ...placeFields,
      phase: choice("Where the module stands among filters of policies: after them all unless set.", [
        "UNSPECIFIED_PHASE",
        "AUTHN",
        "AUTHZ",
        "STATS",
      ]),
    },
  ),
);
export type WasmPluginSpec = Value<typeof WasmPluginSpec>;

/** Istio's `extensions.istio.io/v1alpha1.WasmPlugin`. */
export type WasmPlugin = Resource<{ readonly spec: WasmPluginSpec; readonly status?: IstioStatus }>;

const path = FieldPath.root.field("spec");

function* validate({ spec }: WasmPlugin): Errors {
  yield* validateTargets(spec, path);
  yield* validateModule(spec, path);
  yield* validateTraffic(spec.match, path.field("match"));
}

export const wasmPlugin: Kind = istioKind({
  group: "extensions.istio.io",
  versions: [{ name: "v1alpha1" }],
  kind: "WasmPlugin",
  plural: "wasmplugins",
  shortNames: [],
  description: "A WebAssembly module that filters what some proxies handle.",
  spec: WasmPluginSpec,
  columns: [],
  validate: (object) => validate(object as WasmPlugin),
  warnings: (object) => targetWarnings((object as WasmPlugin).spec, path),
});

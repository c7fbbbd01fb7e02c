import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { FieldPath } from "../field.ts";
import { definition, int32, map, object, string, type Value } from "../schema.ts";
import { istioName } from "./common.ts";
import { istioKind } from "./kind.ts";
import { policyTargets } from "./policy.ts";
import { targetWarnings, validateTargets } from "./policy-validation.ts";
import type { IstioStatus } from "./status.ts";

export const ProxyConfigSpec = definition(
  istioName("ProxyConfigSpec"),
  object(
    "How the proxies of some workloads are started.",
    {},
    {
      selector: policyTargets.selector,
      concurrency: int32(
        "Worker threads of a proxy. By the processors it may use unless set; 0 for all of the machine.",
        {
          minimum: 0,
        },
      ),
      environmentVariables: map(
        "Variables of the proxy's environment.",
        string("The variable's value.", { maxLength: 2048 }),
      ),
      image: object("The proxy's image.", {}, { imageType: string("Its kind: default, debug or distroless.") }),
    },
  ),
);
export type ProxyConfigSpec = Value<typeof ProxyConfigSpec>;

/** Istio's `networking.istio.io/v1beta1.ProxyConfig`. */
export type ProxyConfig = Resource<{ readonly spec: ProxyConfigSpec; readonly status?: IstioStatus }>;

const path = FieldPath.root.field("spec");

export const proxyConfig: Kind = istioKind({
  group: "networking.istio.io",
  versions: [{ name: "v1beta1" }],
  kind: "ProxyConfig",
  plural: "proxyconfigs",
  shortNames: [],
  description: "How the proxies of some workloads are started. It has effect when a proxy starts.",
  spec: ProxyConfigSpec,
  columns: [],
  validate: (object) => validateTargets((object as ProxyConfig).spec, path),
  warnings: (object) => targetWarnings((object as ProxyConfig).spec, path),
});

import type { SidecarSpec } from "#api/istio/sidecar.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";
import { fieldPointer } from "#api/field-path.ts";

function* delays({ all }: MeshObjects): Generator<Problem> {
  for (const { ref, spec } of all<VirtualServiceSpec>("VirtualService")) {
    for (const [index, { fault }] of (spec.http ?? []).entries()) {
      const percent = fault?.delay?.percent ?? 0;
      if (percent <= 0) continue;
      const at = `spec.http[${index}].fault.delay`;
      const remove = { op: "remove", path: fieldPointer(`${at}.percent`) } as const;
      const add = { op: "add", path: fieldPointer(`${at}.percentage`), value: { value: percent } } as const;
      // A share that is written the new way is the one that holds.
      const patch = fault?.delay?.percentage === undefined ? [remove, add] : [remove];
      const fix = { text: "Write percentage instead of percent.", patch };
      const message = `${at}.percent is deprecated; use percentage.`;
      yield problemOf(ref, { code: "Deprecated", field: `${at}.percent`, message, fix });
    }
  }
}

function* egressProxies({ all }: MeshObjects): Generator<Problem> {
  for (const { ref, spec } of all<SidecarSpec>("Sidecar")) {
    if (spec.outboundTrafficPolicy?.egressProxy === undefined) continue;
    const field = "spec.outboundTrafficPolicy.egressProxy";
    const fix = { text: "Remove it.", patch: [{ op: "remove", path: fieldPointer(field) }] } as const;
    yield problemOf(ref, { code: "Deprecated", field, message: `${field} is ignored.`, fix });
  }
}

/** Fields that Istio has given up. */
export const deprecationAnalyzer: Analyzer = {
  name: "deprecation.DeprecationAnalyzer",
  description: "Checks for deprecated fields",
  problems: (objects) => [...delays(objects), ...egressProxies(objects)],
};

import type { EnvoyFilterSpec } from "#api/istio/envoy-filter.ts";
import { untranslatedFinding } from "#api/untranslated.ts";
import type { Problem } from "../message.ts";
import { refOf } from "#api/meta.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Analyzer } from "../analyzer.ts";
import { namedMisuse } from "./envoy-filters.ts";

/** Codes that say that there is no workload, which files alone cannot tell. */
const aboutWorkloads = new Set(["GatewayWithoutWorkload", "NoWorkload"]);

function told({ snapshot, mesh, live }: MeshObjects): readonly Problem[] {
  return snapshot
    .filter(({ cluster }) => cluster === "")
    .flatMap(({ object }) => {
      const untranslated = untranslatedFinding(refOf(object, ""));
      if (untranslated) return [untranslated];
      const { namespace = "", name } = object.metadata;
      const findings = mesh.translator.findings({ kind: object.kind, namespace, name });
      if (object.kind !== "EnvoyFilter") return findings;
      return findings.map((finding) => namedMisuse(finding, object["spec"] as EnvoyFilterSpec));
    })
    .filter(({ code }) => live || !aboutWorkloads.has(code));
}

/** What the control plane says of objects in their status. */
export const findingsAnalyzer: Analyzer = {
  name: "mesh.FindingsAnalyzer",
  description:
    "What the control plane writes to the objects' status: references that lead nowhere, conflicts, what is not carried out",
  problems: told,
};

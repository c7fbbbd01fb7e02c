import type { Finding } from "#api/finding.ts";
import type { EnvoyFilterSpec } from "#api/istio/envoy-filter.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Problem } from "../message.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Analyzer } from "../analyzer.ts";
import { misuse } from "./envoy-filters.ts";

/** Codes that say that there is no workload, which files alone cannot tell. */
const aboutWorkloads = new Set(["GatewayWithoutWorkload", "NoWorkload"]);

/** Whether a finding on a patch of an EnvoyFilter is one for which Istio has a message, which is told instead. */
function isMisuse({ code, field = "" }: Finding, { kind, spec }: ResourceObject): boolean {
  const [, index] = /^spec\.configPatches\[(\d+)\]\.patch\.operation$/.exec(field) ?? [];
  if (kind !== "EnvoyFilter" || code !== "NoEffect" || index === undefined) return false;
  const patch = (spec as EnvoyFilterSpec).configPatches?.[Number(index)];
  return patch !== undefined && misuse(patch) !== undefined;
}

function told({ snapshot, mesh, live }: MeshObjects): readonly Problem[] {
  return snapshot
    .filter(({ cluster }) => cluster === "")
    .flatMap(({ object }) => {
      const { namespace = "", name } = object.metadata;
      const findings = mesh.translator.findings({ kind: object.kind, namespace, name });
      return findings.filter((finding) => !isMisuse(finding, object));
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

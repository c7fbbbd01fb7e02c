import type { Problem } from "../message.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Analyzer } from "../analyzer.ts";

/** Codes that say that there is no workload, which files alone cannot tell. */
const aboutWorkloads = new Set(["GatewayWithoutWorkload", "NoWorkload"]);

function told({ snapshot, mesh, live }: MeshObjects): readonly Problem[] {
  return snapshot
    .filter(({ cluster }) => cluster === "")
    .flatMap(({ object: { kind, metadata } }) =>
      mesh.translator.findings({ kind, namespace: metadata.namespace ?? "", name: metadata.name }),
    )
    .filter(({ code }) => live || !aboutWorkloads.has(code));
}

/** What the control plane says of objects in their status. */
export const findingsAnalyzer: Analyzer = {
  name: "mesh.FindingsAnalyzer",
  description:
    "What the control plane writes to the objects' status: references that lead nowhere, conflicts, what is not carried out",
  problems: told,
};

import type { Mesh } from "#api/weft/mesh.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** What the control plane says of the mesh's certificate authority, which is not among the objects that are analyzed. */
function* authorities({ all }: MeshObjects): Generator<Problem> {
  for (const { ref, object } of all("Mesh")) {
    const conditions = (object as unknown as Mesh).status?.conditions ?? [];
    for (const [index, { type, status, reason, message = "" }] of conditions.entries()) {
      if (type !== "AuthorityReady" || (status === "True" && reason !== "ExpiresSoon")) continue;
      const unusable = status !== "True";
      const code = unusable ? "UnusableAuthority" : "EndingAuthority";
      const severity = unusable ? "error" : "warning";
      const text = `The mesh's certificate authority (weft ca status): ${message}`;
      yield problemOf(ref, { code, severity, field: `status.conditions[${index}]`, message: text });
    }
  }
}

/** What is wrong with the mesh's certificate authority. */
export const authorityAnalyzer: Analyzer = {
  name: "mesh.AuthorityAnalyzer",
  description: "Checks that the mesh's certificate authority can sign, and ends in no less than 30 days",
  problems: authorities,
};

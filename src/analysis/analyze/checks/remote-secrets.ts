import type { Mesh } from "#api/weft/mesh.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** What the control plane says of Istio's remote secrets, which are not among the objects that are analyzed. */
function* refusals({ all }: MeshObjects): Generator<Problem> {
  for (const { ref, object } of all("Mesh")) {
    const conditions = (object as unknown as Mesh).status?.conditions ?? [];
    for (const [index, { type, status, message = "" }] of conditions.entries()) {
      if (type !== "RemoteSecretsAccepted" || status === "True") continue;
      for (const line of message.split("\n"))
        yield problemOf(ref, {
          code: "RemoteSecretRefused",
          field: `status.conditions[${index}]`,
          message: `A remote secret joins no cluster, or not by its kubeconfig: ${line}`,
        });
    }
  }
}

/** What is wrong with Istio's remote secrets. */
export const remoteSecretAnalyzer: Analyzer = {
  name: "mesh.RemoteSecretAnalyzer",
  description: "Checks that Istio's remote secrets join clusters, each by the kubeconfig in its key",
  problems: refusals,
};

import type { ObjectRef } from "#api/meta.ts";
import type { Analyzer } from "../analyzer.ts";
import type { MeshObjects } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";

/** What the control plane says of a proxy: a `ProxyFinding` of `status.mesh.weft.dev`. */
interface FindingSpec {
  readonly pod: string;
  readonly cluster: string;
  readonly code: string;
  readonly message: string;
}

function* findings({ all }: MeshObjects): Generator<Problem> {
  for (const { ref, namespace, spec } of all<FindingSpec>("ProxyFinding")) {
    const { pod, cluster, code, message } = spec;
    const place = cluster === "" ? {} : { cluster };
    const resource: ObjectRef = pod === "" ? ref : { group: "", kind: "Pod", namespace, name: pod, ...place };
    yield { resource, severity: "warning", code, message };
  }
}

/** What proxies do to the control plane that they should not. */
export const proxyAnalyzer: Analyzer = {
  name: "proxies.ConductAnalyzer",
  description: "Checks for proxies that flood the control plane, reconnect in a loop, never read, or ask for too much",
  problems: findings,
};

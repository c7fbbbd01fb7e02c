import type { PeerAuthenticationSpec } from "#api/istio/peer-authentication.ts";
import { defaultPeerAuthentication, peerSelector } from "../peer-authentications.ts";
import type { Config } from "../rows.ts";
import { only } from "../services.ts";
import type { Problem } from "./finding.ts";
import { unselected, type WorkloadContext } from "./workloads.ts";

/** What is wrong with a PeerAuthentication: that it is for nobody, or that an older one is the default already. */
export function peerAuthenticationProblems(
  row: Config<PeerAuthenticationSpec>,
  context: WorkloadContext,
): readonly Problem[] {
  const { namespace, name, spec } = row;
  const rows = context.tables.peerAuthentications.byNamespace.rows(namespace);
  const labels = peerSelector(spec);
  const root = namespace === context.services.mesh.get(only).rootNamespace;
  if (Object.keys(labels).length === 0) {
    const older = defaultPeerAuthentication(rows);
    if (!older || older.name === name) return [];
    const whose = root ? "the mesh's" : `namespace ${namespace}'s`;
    const message = `PeerAuthentication ${older.name} is older and is ${whose} default; this one has no effect. Remove one.`;
    return [{ code: "ConflictingPolicies", severity: "warning", field: "metadata.name", message }];
  }
  if (root) {
    const message = `In the root namespace ${namespace} a PeerAuthentication with a selector has no effect. Put it into the workloads' namespace, or leave the selector out.`;
    return [{ code: "NoWorkload", severity: "warning", field: "spec.selector.matchLabels", message }];
  }
  return unselected(context, namespace, labels, "spec.selector.matchLabels");
}

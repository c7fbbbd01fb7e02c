import type { Cluster } from "#api/weft/cluster.ts";
import { systemClock } from "#base/clock.ts";
import { Installation } from "#controllers/aggregation/installation.ts";
import { readDrift } from "#controllers/crd-sync/drift.ts";
import type { CheckResult } from "#controllers/clusters/checks.ts";
import type { Client } from "#kube/client.ts";
import { usualNamespace } from "./drift.ts";

type Outcome = Pick<CheckResult, "outcome" | "message">;

async function aggregated(member: Client | undefined): Promise<Outcome> {
  if (member === undefined) {
    return { outcome: "passed", message: "served by the mesh (Aggregated); --kubeconfig checks whether it is reached" };
  }
  const away = await new Installation(member, systemClock).unavailable();
  return away === undefined
    ? { outcome: "passed", message: "its API server serves the mesh's (Aggregated)" }
    : { outcome: "failed", message: `its API server does not reach the mesh's: ${away}` };
}

async function synced(cluster: string, mesh: Client): Promise<Outcome> {
  const report = await readDrift({ client: mesh, namespace: usualNamespace, member: cluster });
  if (report === undefined) {
    return {
      outcome: "warned",
      message: "kept the same as the mesh's (Synced); nothing was told yet: see whether weft discovery runs",
    };
  }
  const { total } = report;
  return total === 0
    ? { outcome: "passed", message: "the same as the mesh's (Synced)" }
    : {
        outcome: "failed",
        message: `${total} not as the mesh has them (Synced): weft cluster drift ${cluster} lists them`,
      };
}

/**
 * How a member's Istio objects stand.
 * @param member the member's API, where it can be asked.
 */
export async function istioState({ metadata, spec }: Cluster, mesh: Client, member?: Client): Promise<Outcome> {
  if (spec.istioObjects === "Aggregated") return aggregated(member);
  if (spec.istioObjects === "Synced") return synced(metadata.name, mesh);
  return { outcome: "passed", message: "those of the mesh are not in the cluster (None)" };
}

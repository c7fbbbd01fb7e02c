import type { ClusterStanding } from "#api/weft/cluster.ts";
import type { RemoteCluster } from "./remote-secrets.ts";

/** What says only that it is too early to tell. */
const early: ReadonlySet<string> = new Set(["Connecting", "Reading"]);
/** Aspects of a cluster that its kubeconfig decides. */
const aspects: ReadonlySet<string> = new Set(["Reachable", "Synced"]);

/** What is said of a key of a remote secret: where it stands, what is wrong, and what to do. */
export function keyProblem(secret: string, key: string, why: string): string {
  return `Secret ${secret}, key ${key}: ${why}`;
}

/** What is wrong with the kubeconfig of a cluster that a remote secret joins, also while those credentials that it had before serve on. */
export function remoteProblems(
  { name, secret }: RemoteCluster,
  standing: ClusterStanding | undefined,
): readonly string[] {
  const found = (standing?.conditions ?? []).filter(
    ({ type, ok, reason, message }) => aspects.has(type) && !early.has(reason) && (!ok || message !== ""),
  );
  const fix = "put a kubeconfig that works there (istioctl create-remote-secret), or remove the key";
  return found.slice(0, 1).map(({ reason, message }) => keyProblem(secret, name, `${reason}: ${message}; ${fix}`));
}

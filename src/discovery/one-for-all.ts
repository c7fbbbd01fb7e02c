import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import { runRemovedRevisions } from "#controllers/revisions/removed.ts";
import type { Client } from "#kube/client.ts";
import { apiLease, leadElected } from "#kube/leader-election.ts";
import { ownProcess } from "#runtime/process-mark.ts";

/** A mesh whose control planes share work. */
interface Shared {
  /** The mesh's API. */
  readonly client: Client;
  readonly rootNamespace: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Does what one of a mesh's control planes does for all of them: in the one that holds a Lease, where there are several. */
export async function inOneReplica(
  { replica: identity }: { readonly replica?: string },
  { client, rootNamespace, clock, logger }: Shared,
  work: (signal: AbortSignal) => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  if (identity === undefined) return work(signal);
  const lock = apiLease(client, { namespace: rootNamespace, name: "weft-discovery" });
  return leadElected({ lock, identity, process: ownProcess(), clock, logger }, work, signal);
}

/** Takes away what revisions have left in the mesh's API that are not in the control plane's cluster any more. */
export async function forgetting(
  { ownCluster: cluster, revision = "default" }: { readonly ownCluster?: string; readonly revision?: string },
  {
    client: mesh,
    member,
    clock,
    logger,
  }: Omit<Shared, "rootNamespace"> & { readonly member: (cluster: string) => Client | undefined },
  signal: AbortSignal,
): Promise<void> {
  if (cluster === undefined) return;
  await runRemovedRevisions({ mesh, own: () => member(cluster), cluster, revision, clock, logger }, signal);
}

import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import type { ResourceObject } from "#api/meta.ts";
import { revisionLabel, revisionsNamespace } from "#api/weft/revisions.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "#kube/client.ts";
import { installSelector } from "../install/object.ts";
import { installNames, nameOfRevision } from "../install/options.ts";

/** On ConfigMaps of the mesh's API that belong to an installed revision: the cluster where that is. Which revision, `istio.io/rev` says. */
const installedIn = "mesh.weft.dev/installed-in";

/** The labels of what a revision has in the mesh's API, so that it goes with the revision. */
export function installedLabels(cluster: string, revision: string): Readonly<Record<string, string>> {
  return { [installedIn]: cluster, [revisionLabel]: revision };
}

/** What forgetting removed revisions needs. */
export interface RemovedRevisionsOptions {
  /** The mesh's API. */
  readonly mesh: Client;
  /** The API of the cluster where the control plane is installed; undefined while it is not known. */
  readonly own: () => Client | undefined;
  readonly cluster: string;
  /** The revision that looks. */
  readonly revision: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds between looks. */
const lookMs = 10_000;

function revisionOf({ metadata }: ResourceObject): string {
  return metadata.labels?.[revisionLabel] ?? "";
}

/** The revisions that are installed in a cluster, running or not: each has the ConfigMap of what the mesh begins with. */
async function installedRevisions(own: Client): Promise<ReadonlySet<string>> {
  const selection = { namespace: installNames.namespace, labelSelector: `${installSelector},${revisionLabel}` };
  const { items } = await own.of<ConfigMap>(configMap).list(selection);
  const there = items.filter((each) => each.metadata.name === nameOfRevision(installNames.objects, revisionOf(each)));
  return new Set(there.map(revisionOf));
}

/** Removes what revisions have in the mesh's API that are installed no more. */
export async function forgetRemovedRevisions({
  mesh,
  own,
  cluster,
  revision,
}: Pick<RemovedRevisionsOptions, "mesh" | "cluster" | "revision"> & { readonly own: Client }): Promise<
  readonly string[]
> {
  const maps = mesh.of<ConfigMap>(configMap);
  // Before what is installed: a revision that comes back meanwhile keeps what it has.
  const { items } = await maps.list({ namespace: revisionsNamespace, labelSelector: `${installedIn}=${cluster}` });
  const there = await installedRevisions(own);
  // Where who looks is not installed either, everything is being taken away, or was installed otherwise.
  if (!there.has(revision)) return [];
  const left = items.filter((each) => revisionOf(each) !== "" && !there.has(revisionOf(each)));
  for (const { metadata } of left) {
    const { name, uid, resourceVersion } = metadata;
    try {
      await maps.delete({ namespace: revisionsNamespace, name }, { uid, resourceVersion });
    } catch (error) {
      // It is gone, or somebody has written it just now: looked at again.
      if (codeOf(error) !== "NotFound" && codeOf(error) !== "Conflict") throw error;
    }
  }
  return left.map(({ metadata }) => metadata.name);
}

/** Does so again and again until the signal aborts. */
export async function runRemovedRevisions(options: RemovedRevisionsOptions, signal: AbortSignal): Promise<void> {
  const { own: find, clock, logger } = options;
  while (!signal.aborted) {
    const own = find();
    try {
      const names = own ? await forgetRemovedRevisions({ ...options, own }) : [];
      if (names.length > 0) logger.info("what removed revisions had in the mesh is removed", { configMaps: names });
    } catch (error) {
      logger.warn("what removed revisions had in the mesh stays for now", { error: messageOf(error) });
    }
    await clock.sleep(lookMs, signal).catch(() => undefined);
  }
}

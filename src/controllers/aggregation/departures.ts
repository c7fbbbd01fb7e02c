import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import type { Clock } from "#base/clock.ts";
import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { departedConfigMap } from "./departed.ts";

/** How the mesh makes good what it missed of one member. */
export interface DeparturesOptions {
  /** The member's API. */
  readonly client: Client;
  /** Does what the deletion of a namespace means for the mesh's objects; tells whether that is settled. */
  readonly settle: (namespace: string) => Promise<boolean>;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Milliseconds after which it is tried again where it could not be said who else has a namespace. */
const againMs = 10_000;

/** Follows, until the signal aborts, which namespaces a member let go while the mesh was away, and settles them one by one. */
export async function followDepartures(options: DeparturesOptions, signal: AbortSignal): Promise<void> {
  const { client, settle, clock, logger } = options;
  const maps = client.of<ConfigMap>(configMap);
  const { namespace, name } = departedConfigMap;
  const informer = new Informer({
    client: maps,
    selection: { namespace, fieldSelector: `metadata.name=${name}` },
    clock,
    logger,
  });
  const queue = new WorkQueue({
    clock,
    work: async (departed) => {
      if (informer.get(departedConfigMap)?.data?.[departed] === undefined) return undefined;
      if (!(await settle(departed))) return againMs;
      await maps.patch(departedConfigMap, { kind: "merge", body: { data: { [departed]: null } } });
      logger.info("a namespace that went while the mesh was away is settled", { namespace: departed });
      return undefined;
    },
    failed: (departed, error) => {
      logger.warn("a namespace that went cannot be settled; trying again", {
        namespace: departed,
        error: messageOf(error),
      });
    },
  });
  using _following = informer.onChange(({ after }) => {
    for (const departed of Object.keys(after?.data ?? {})) queue.add(departed);
  });
  await Promise.all([informer.run(signal), queue.run(signal)]);
}

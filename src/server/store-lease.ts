import type { Lease } from "#api/kubernetes/lease.ts";
import type { Clock } from "#base/clock.ts";
import { timestamp } from "#base/timestamp.ts";
import type { LeaseLock } from "#kube/leader-election.ts";
import type { ObjectKey, ResourceStore } from "#store/port.ts";
import { randomUUID } from "node:crypto";

/** A Lease in the store itself, for what servers decide among each other before and beside their APIs. */
export function storeLease(store: ResourceStore, place: Omit<ObjectKey, "resource">, clock: Clock): LeaseLock {
  const key: ObjectKey = { ...place, resource: "leases.coordination.k8s.io" };
  const { namespace, name } = place;
  return {
    name: `${namespace}/${name}`,
    read: async () => (await store.get(key))?.object as Lease | undefined,
    write: async ({ spec, annotations }, before) => {
      const known = before?.metadata ?? {
        name,
        namespace,
        uid: randomUUID(),
        resourceVersion: "",
        generation: 1,
        creationTimestamp: timestamp(clock.now()),
      };
      const metadata = { ...known, annotations };
      const revision = Number(metadata.resourceVersion);
      const expect = before ? ({ kind: "revision", revision } as const) : ({ kind: "absent" } as const);
      const object: Lease = { apiVersion: "coordination.k8s.io/v1", kind: "Lease", metadata, spec };
      return (await store.put(key, object, expect)).object as Lease;
    },
  };
}

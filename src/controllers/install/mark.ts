import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { canonical } from "#base/canonical.ts";
import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { gone } from "../clusters/published.ts";
import { installNames } from "./options.ts";

const place = { namespace: installNames.namespace, name: "weft-managed-mesh" } as const;

/** What says in a cluster that a management plane runs its control plane. */
export interface ManagedMark {
  /** The name of the mesh there. */
  readonly mesh: string;
  /** The mesh's settings, as the management plane has them. */
  readonly settings: Readonly<Record<string, unknown>>;
}

/** The mark of a cluster; undefined where no management plane runs its control plane. */
export async function readMark(client: Client): Promise<ManagedMark | undefined> {
  const { data = {} } = (await client.of<ConfigMap>(configMap).find(place)) ?? {};
  const { mesh, settings = "{}" } = data;
  return mesh === undefined ? undefined : { mesh, settings: JSON.parse(settings) as ManagedMark["settings"] };
}

/** Marks a cluster, whose namespace must be there. */
export async function writeMark(client: Client, { mesh, settings }: ManagedMark): Promise<void> {
  const maps = client.of<ConfigMap>(configMap);
  const data = { mesh, settings: canonical(settings) };
  if (await maps.find(place)) await maps.patch(place, { kind: "merge", body: { data } });
  else await maps.create({ metadata: place, data });
}

/** Removes the mark. */
export async function removeMark(client: Client): Promise<void> {
  await gone(client.of(configMap).delete(place));
}

/** @throws WeftError `FailedPrecondition` where a management plane would take back what is done by hand. */
export async function checkUnmanaged(client: Client): Promise<void> {
  const mark = await readMark(client);
  if (!mark) return;
  const fix = `weft mesh upgrade ${mark.mesh}, weft mesh delete ${mark.mesh} and its Mesh there change it`;
  throw new WeftError(
    "FailedPrecondition",
    `a management plane runs this cluster's control plane as its mesh ${mark.mesh}: ${fix}`,
  );
}

import type { Clock } from "#base/clock.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { type BenchObject, meshObjects, namespaceObjects, serviceObjects } from "./objects.ts";
import type { BenchScale } from "./scale.ts";

/** Requests at once while objects are created. */
const creators = 16;

/** URLs of the two APIs of a served mesh. */
export interface SeedTargets {
  readonly mesh: string;
  readonly cluster: string;
}

async function create(url: string, clock: Clock, objects: readonly BenchObject[]): Promise<void> {
  using connection = new Connection({ url }, { clock });
  const client = new Client(connection);
  const left = objects.values();
  const createAll = async (): Promise<void> => {
    for (const { kind, draft } of left) await client.of(kind).create(draft);
  };
  await Promise.all(Array.from({ length: creators }, createAll));
}

/** Creates a mesh of a size. */
export async function seed(scale: BenchScale, { mesh, cluster }: SeedTargets, clock: Clock): Promise<void> {
  for (const url of [mesh, cluster]) await create(url, clock, namespaceObjects(scale));
  await create(cluster, clock, serviceObjects(scale));
  await create(mesh, clock, meshObjects(scale, cluster));
}

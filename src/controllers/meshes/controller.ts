import { type Mesh, mesh as meshKind } from "#api/weft/mesh.ts";
import type { MeshMode } from "#api/weft/mesh-lifecycle.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf, messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import { WorkQueue } from "#base/workqueue.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { MeshLifecycle } from "./lifecycle.ts";
import type { MeshRuntime } from "./port.ts";

/** What the controller needs. */
export interface MeshControllerOptions {
  /** The API of the management plane. */
  readonly client: Client;
  readonly mode: MeshMode;
  readonly runtime: MeshRuntime;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Leads the meshes of a mode of a management plane to what their objects ask for, until the signal aborts. */
export async function runMeshes(options: MeshControllerOptions, signal: AbortSignal): Promise<void> {
  const { client, mode, runtime, clock, logger } = options;
  const meshes = client.of<Mesh>(meshKind);
  const lifecycle = new MeshLifecycle({ meshes, mode, runtime, clock, logger });
  const informer = new Informer<Mesh>({ client: meshes, clock, logger });
  const queue = new WorkQueue({
    clock,
    // A mesh whose API hangs holds up itself alone.
    concurrency: runtime.slots,
    work: async (name) => lifecycle.turn(name),
    failed: (name, error) => {
      // The object has changed meanwhile; the next turn reads it.
      const level = codeOf(error) === "Conflict" ? "debug" : "warn";
      logger[level]("a mesh does not get on", { mesh: name, error: messageOf(error) });
    },
  });
  informer.onChange(({ before, after }) => {
    const { name } = (after ?? before)?.metadata ?? {};
    if (name !== undefined) queue.add(name);
  });
  await Promise.all([informer.run(signal), queue.run(signal)]);
}

import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { lease as leaseKind } from "#api/kubernetes/lease.ts";
import { type Mesh, mesh as meshKind } from "#api/weft/mesh.ts";
import { revisionsName, revisionsNamespace } from "#api/weft/revisions.ts";
import { replicaPlace } from "#api/weft/replicas.ts";
import { equal } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { gone } from "#controllers/clusters/published.ts";
import type { MeshSettings } from "#controllers/meshes/port.ts";
import { removePublished } from "#controllers/reach/published.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { apiAddress } from "#kube/kubeconfig.ts";

/** The name of the Mesh object in a mesh's own API. */
const own = { name: "default" };

/** A mesh's own API, as the management plane acts in it. */
export class MeshApi implements Disposable {
  readonly #connection: Connection;
  readonly #client: Client;

  private constructor(connection: Connection) {
    this.#connection = connection;
    this.#client = new Client(connection);
  }

  /** @param kubeconfig the file of who acts. */
  static async open(kubeconfig: string, clock: Clock): Promise<MeshApi> {
    return new MeshApi(new Connection(await apiAddress(kubeconfig), { clock }));
  }

  /** @throws WeftError `Unavailable` where it is not ready. */
  async ready(): Promise<void> {
    await this.#client.bytes({ method: "GET", path: "/readyz", timeoutMs: 2000 });
  }

  /** Writes settings into the mesh's own Mesh object; those of `before` that are no more are taken away, what its users set stays. */
  async applySettings(settings: MeshSettings, before: MeshSettings): Promise<void> {
    const meshes = this.#client.of<Mesh>(meshKind);
    const found = await meshes.find(own);
    const kept = Object.entries(found?.spec ?? {}).filter(([field]) => !Object.hasOwn(before, field));
    const spec = { ...Object.fromEntries(kept), ...settings } as Mesh["spec"];
    if (!found) await meshes.create({ metadata: own, spec });
    else if (!equal(found.spec, spec)) await meshes.replace({ ...found, spec });
  }

  /** Writes whom each revision serves, for who asks by namespaces. */
  async writeRevisions(data: Readonly<Record<string, string>>): Promise<void> {
    const maps = this.#client.of<ConfigMap>(configMap);
    const metadata = { namespace: revisionsNamespace, name: revisionsName };
    const found = await maps.find(metadata);
    if (!found) await maps.create({ metadata, data });
    else if (!equal(found.data, data)) await maps.replace({ ...found, data });
  }

  /** Removes what the replicas of a revision that have ended, perhaps by being killed, told of themselves. */
  async forgetRevision(name: string, replicas: readonly string[]): Promise<void> {
    await removePublished(this.#client, name);
    for (const replica of replicas)
      await gone(this.#client.of(leaseKind).delete(replicaPlace(revisionsNamespace, replica)));
  }

  [Symbol.dispose](): void {
    this.#connection[Symbol.dispose]();
  }
}

import { secret as secretKind } from "#api/kubernetes/secret.ts";
import type { MeshQuotas } from "#api/weft/mesh-lifecycle.ts";
import { objectionsBetween, type RevisionReport } from "#api/weft/revision-report.ts";
import { canonical } from "#base/canonical.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { installNames, installPorts, meshApiHost, nameOfRevision } from "#controllers/install/options.ts";
import type { MeshPlace, MeshRuntime, MeshSettings, RevisionPlace, Routing } from "#controllers/meshes/port.ts";
import { injectedBy } from "#controllers/revisions/remove.ts";
import { routeRevisions } from "#controllers/revisions/routing.ts";
import { readRevisionsOf } from "#controllers/revisions/state.ts";
import { mutatingWebhooks } from "#injection/webhook-configuration.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { accessOf, kubeconfigKey } from "#sources/members/access.ts";
import { ClusterMesh } from "./cluster-mesh.ts";

/** By what the meshes of clusters are run. */
export interface ClusterRuntimeOptions {
  /** The image of each version of Weft, the newest last. APIs are run by the newest, which knows what all of them store. */
  readonly images: ReadonlyMap<string, string>;
  /** The management plane's API, where the kubeconfigs of the clusters are. */
  readonly client: Client;
  readonly clock: Clock;
}

const slots = 1024;
const indexes = 4;
/** For how long what was applied is taken to be there, unless it is to be another. */
const freshMs = 60_000;

/** Runs each mesh as Pods of a cluster of its users, as `weft install` does. */
export class ClusterRuntime implements MeshRuntime {
  readonly versions: readonly string[];
  readonly slots = slots;
  readonly indexes = indexes;
  readonly #options: ClusterRuntimeOptions;
  /** What was applied last and when, by mesh and part. */
  readonly #applied = new Map<string, { readonly what: string; readonly at: number }>();

  constructor(options: ClusterRuntimeOptions) {
    this.#options = options;
    this.versions = [...options.images.keys()];
  }

  apiAddress(): string {
    return `https://${meshApiHost}:${installPorts.api}`;
  }

  xdsAddress(_place: MeshPlace, { name }: RevisionPlace): string {
    return `${nameOfRevision(installNames.discovery, name)}.${installNames.namespace}.svc:${installPorts.xds}`;
  }

  async ensureSpace(place: MeshPlace): Promise<void> {
    await this.#in(place, async (mesh) => mesh.ensureSpace());
  }

  async removeSpace(place: MeshPlace): Promise<void> {
    await this.#in(place, async (mesh) => mesh.removeSpace());
  }

  async ensureApi(place: MeshPlace, quotas: MeshQuotas): Promise<void> {
    await this.#in(place, async (mesh) => {
      await this.#once(place, "api", { home: place.home, quotas }, async () => mesh.ensureApi(quotas));
      const obstacle = await mesh.apiObstacle();
      if (obstacle !== undefined) throw new WeftError("Unavailable", `the mesh's API is not ready: ${obstacle}`);
    });
  }

  async removeApi(place: MeshPlace): Promise<void> {
    this.#forget(place);
    await this.#in(place, async (mesh) => mesh.removeApi());
  }

  async applySettings(place: MeshPlace, settings: MeshSettings): Promise<void> {
    this.#forget(place);
    await this.#in(place, async (mesh) => mesh.writeSettings(settings));
  }

  async ensureRevision(place: MeshPlace, revision: RevisionPlace, quotas: MeshQuotas): Promise<void> {
    const { name, version } = revision;
    await this.#in(place, async (mesh) => {
      const what = { home: place.home, version, quotas };
      await this.#once(place, name, what, async () => mesh.ensureRevision(revision, this.#image(version), quotas));
    });
  }

  async removeRevision(place: MeshPlace, revision: RevisionPlace): Promise<void> {
    this.#forget(place);
    await this.#in(place, async (mesh) => mesh.removeRevision(revision));
  }

  async runs(place: MeshPlace, revision: RevisionPlace): Promise<boolean> {
    return this.#in(place, async (mesh) => mesh.runs(revision));
  }

  async unready(place: MeshPlace, revision: RevisionPlace): Promise<string | undefined> {
    return this.#in(place, async (mesh) => mesh.unready(revision));
  }

  async route(place: MeshPlace, { stable, canary, percentage }: Routing): Promise<void> {
    const { clock } = this.#options;
    const revisions = [stable, ...(canary ? [canary] : [])];
    await this.#in(place, async (mesh, client) => {
      await mesh.serve(revisions.map(({ name, version }) => ({ name, image: this.#image(version) })));
      const { namespace } = installNames;
      const template = (tag: string, revision: string): object => mutatingWebhooks({ revision, tag, namespace });
      const routing = { stable: stable.name, percentage, ...(canary && { canary: canary.name }) };
      await routeRevisions(client, routing, template, clock.now());
    });
  }

  /** Those that are connected, or where none is, Pods whose proxies the revision injected. */
  async proxies(place: MeshPlace, { name }: RevisionPlace): Promise<number> {
    return this.#in(place, async (_mesh, client) => {
      const connected = (await this.#reports(client, name)).reduce((sum, report) => sum + report.connected, 0);
      return connected > 0 ? connected : (await injectedBy(client, name)).length;
    });
  }

  async objections(place: MeshPlace, { name }: RevisionPlace, from?: RevisionPlace): Promise<readonly string[]> {
    return this.#in(place, async (_mesh, client) => {
      const before = from ? await this.#reports(client, from.name) : [];
      return objectionsBetween(before, await this.#reports(client, name));
    });
  }

  async #reports(client: Client, revision: string): Promise<readonly RevisionReport[]> {
    const { revisions } = await readRevisionsOf(client, this.#options.clock.now());
    return revisions.find(({ name }) => name === revision)?.reports ?? [];
  }

  /** Acts in the cluster of a mesh. @throws WeftError `Unavailable` where it is not known how that is reached. */
  async #in<T>(place: MeshPlace, act: (mesh: ClusterMesh, client: Client) => Promise<T>): Promise<T> {
    const { mesh, home } = place;
    const { client: own, clock } = this.#options;
    if (!home) throw new WeftError("InvalidArgument", `the mesh ${mesh} has no spec.standAlone`);
    const { namespace, name, key = kubeconfigKey } = home.kubeconfigSecret;
    const secret = await own.of(secretKind).find({ namespace, name });
    // It may be written after the mesh.
    if (!secret) throw new WeftError("Unavailable", `there is no Secret ${namespace}/${name} with a kubeconfig`);
    const access = accessOf(secret, key);
    if (access.kind === "none") throw new WeftError("FailedPrecondition", access.message);
    if (access.kind === "unknown") throw new WeftError("Unavailable", `it is not known how the cluster is reached`);
    using connection = new Connection(access.address, { clock });
    const client = new Client(connection);
    const design = { mesh, home, image: this.#image(this.versions.at(-1) ?? "") };
    return act(new ClusterMesh(client, design, clock), client);
  }

  /** Applies a part unless the same was applied a short while ago. */
  async #once({ mesh }: MeshPlace, part: string, content: object, apply: () => Promise<void>): Promise<void> {
    const key = `${mesh}/${part}`;
    const what = canonical(content);
    const known = this.#applied.get(key);
    const now = this.#options.clock.monotonic();
    if (known?.what === what && now - known.at < freshMs) return;
    await apply();
    this.#applied.set(key, { what, at: now });
  }

  #forget({ mesh }: MeshPlace): void {
    for (const key of this.#applied.keys()) if (key.startsWith(`${mesh}/`)) this.#applied.delete(key);
  }

  #image(version: string): string {
    const image = this.#options.images.get(version);
    if (image !== undefined) return image;
    const known = this.versions.join(", ");
    throw new WeftError("FailedPrecondition", `there is no image of version ${version}; there are images of ${known}`);
  }
}

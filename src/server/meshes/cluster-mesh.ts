import { type Deployment, deployment as deploymentKind } from "#api/kubernetes/deployment.ts";
import { pod as podKind } from "#api/kubernetes/pod.ts";
import { type Service, service as serviceKind } from "#api/kubernetes/service.ts";
import type { MeshHome } from "#api/weft/mesh-home.ts";
import type { MeshQuotas } from "#api/weft/mesh-lifecycle.ts";
import { defaultRevisionName, revisionLabel } from "#api/weft/revisions.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import { gone } from "#controllers/clusters/published.ts";
import { Installer } from "#controllers/install/installer.ts";
import { checkKinds } from "#controllers/install/kinds-check.ts";
import { knownKeys } from "#controllers/install/known-keys.ts";
import { type InstallStage, installStages, revisionStages } from "#controllers/install/manifests.ts";
import type { InstallObject } from "#controllers/install/object.ts";
import { readMark, removeMark, writeMark } from "#controllers/install/mark.ts";
import { balanced, placesOf } from "#controllers/install/members.ts";
import {
  type InstallMembers,
  type InstallOptions,
  type InstallStore,
  installNames,
  type MembersPlaces,
  nameOfRevision,
} from "#controllers/install/options.ts";
import { deploymentObstacle } from "#controllers/install/readiness.ts";
import { removeInstallation, removeInstalledNamespace } from "#controllers/install/removal.ts";
import type { MeshSettings, RevisionPlace } from "#controllers/meshes/port.ts";
import { removeReports, removeRevision } from "#controllers/revisions/remove.ts";
import { readRevisionsOf } from "#controllers/revisions/state.ts";
import { asleep, injectionObstacle, tagsOf } from "#controllers/revisions/tags.ts";
import { mutatingWebhooks } from "#injection/webhook-configuration.ts";
import type { Client } from "#kube/client.ts";
import { installKeys } from "../install-keys.ts";

/** The cluster's name in the mesh unless it is told. */
const defaultCluster = "primary";

/** How long what was changed may take to serve, and what is being removed to go, before it is looked at again by who asked. */
const patienceMs = 60_000;
const lookMs = 500;

function storeOf({ store }: MeshHome): InstallStore {
  const { kind, size = "", storageClass, path = "", address = "", secret } = store;
  switch (kind) {
    case "Claim":
      return { kind: "claim", size, ...(storageClass !== undefined && { className: storageClass }) };
    case "Folder":
      return { kind: "folder", path };
    case "Memory":
      return { kind: "memory" };
    case "Etcd":
      return { kind: "etcd", address, ...(secret !== undefined && { secret }) };
  }
}

function membersOf({ members }: MeshHome): InstallMembers | undefined {
  return members && { type: members.type, hosts: members.hosts ?? [] };
}

function partOf(stages: readonly InstallStage[], part: InstallStage["part"]): readonly InstallObject[] {
  return stages.filter((stage) => stage.part === part).flatMap(({ objects }) => objects);
}

/** What a mesh's control plane is made of. */
export interface ClusterMeshDesign {
  readonly mesh: string;
  readonly home: MeshHome;
  /** The image of the API's servers. */
  readonly image: string;
}

/** The control plane of a mesh in a cluster of its users, as `weft install` has it. Everything may be done again. */
export class ClusterMesh {
  readonly #client: Client;
  readonly #design: ClusterMeshDesign;
  readonly #clock: Clock;
  readonly #installer: Installer;

  constructor(client: Client, design: ClusterMeshDesign, clock: Clock) {
    this.#client = client;
    this.#design = design;
    this.#clock = clock;
    this.#installer = new Installer(client);
  }

  /**
   * Makes the namespace, the accounts and the roles, and marks the cluster as this mesh's.
   * @throws WeftError `FailedPrecondition` where it has another control plane.
   */
  async ensureSpace(): Promise<void> {
    const { mesh, home, image } = this.#design;
    const stages = await this.#stages({ name: defaultRevisionName, image });
    const objects = partOf(stages, "space");
    const owner = (await readMark(this.#client))?.mesh;
    if (owner !== mesh) {
      if (owner !== undefined || (await this.#installer.found())) {
        const whose = owner === undefined ? "one that weft install made" : `that of the mesh ${owner}`;
        throw new WeftError("FailedPrecondition", `the cluster has a control plane already, ${whose}`);
      }
      await checkKinds(this.#client, home.cluster ?? defaultCluster);
      await this.#installer.check(stages.flatMap((stage) => stage.objects));
      await this.#installer.apply(objects.filter(({ kind }) => kind === "Namespace"));
      // Before anything that must be found again.
      await writeMark(this.#client, { mesh, settings: {} });
    }
    await this.#installer.apply(objects);
  }

  /** Has the mesh's API as it is to be; waits a while until it serves. @throws WeftError `Unavailable` with what keeps it from that. */
  async ensureApi({ objects }: MeshQuotas): Promise<void> {
    const quota = objects === undefined ? {} : { maxObjects: objects };
    const revision = { name: defaultRevisionName, image: this.#design.image };
    const places = await this.#open(installNames.membersApi, revision);
    const stages = await this.#stages({ ...revision, ...quota, ...(places && { places }) });
    await this.#installer.apply(partOf(stages, "api"));
    await this.#until(async () => this.apiObstacle());
  }

  /** What keeps the mesh's API from being as it is to be; undefined where nothing does. */
  async apiObstacle(): Promise<string | undefined> {
    return deploymentObstacle(this.#client, installNames.server);
  }

  async writeSettings(settings: MeshSettings): Promise<void> {
    await writeMark(this.#client, { mesh: this.#design.mesh, settings });
  }

  /** Has a revision's control planes as they are to be; they need not serve. */
  async ensureRevision({ name }: RevisionPlace, image: string, { proxies }: MeshQuotas): Promise<void> {
    const quota = proxies === undefined ? {} : { maxProxies: proxies };
    const places = await this.#open(nameOfRevision(installNames.membersDiscovery, name), { name, image });
    const stages = await this.#stages({ name, image, ...quota, ...(places && { places }) });
    await this.#installer.apply(partOf(stages, "discovery"));
  }

  /**
   * Has a Service by which other clusters reach a part of the control plane, or none where no others are to join.
   * @returns where they do.
   * @throws WeftError `Unavailable` while the Service has no address.
   */
  async #open(
    name: string,
    revision: { readonly name: string; readonly image: string },
  ): Promise<MembersPlaces | undefined> {
    const members = membersOf(this.#design.home);
    const services = this.#client.of<Service>(serviceKind);
    const place = { namespace: installNames.namespace, name };
    if (!members) {
      await gone(services.delete(place));
      return undefined;
    }
    const opened = partOf(await this.#stages(revision), "members");
    await this.#installer.apply(opened.filter(({ metadata }) => metadata.name === name));
    if (members.type === "LoadBalancer") {
      await this.#until(async () =>
        balanced(await services.get(place)).length > 0
          ? undefined
          : `Service ${name} has no address of a load balancer yet`,
      );
    }
    return placesOf(this.#client, members, revision.name);
  }

  /** Why a revision serves nobody; undefined where it serves, also while its Pods are replaced. */
  async unready({ name }: RevisionPlace): Promise<string | undefined> {
    const found = await this.#deployment(name);
    const { updatedReplicas = 0, availableReplicas = 0, observedGeneration = 0 } = found?.status ?? {};
    const current = observedGeneration >= (found?.metadata.generation ?? 0);
    if (found && current && updatedReplicas > 0 && availableReplicas > 0) return undefined;
    if (!found) return `revision ${name} is not there`;
    return (await deploymentObstacle(this.#client, found.metadata.name)) ?? `revision ${name} does not serve yet`;
  }

  /** Whether any control plane of a revision runs. */
  async runs({ name }: RevisionPlace): Promise<boolean> {
    return ((await this.#deployment(name))?.status?.readyReplicas ?? 0) > 0;
  }

  async removeRevision({ name }: RevisionPlace): Promise<void> {
    if (!(await this.#isOwn())) return;
    const known = await readRevisionsOf(this.#client, this.#clock.now());
    await removeRevision(this.#client, known, name);
    const { namespace, discovery } = installNames;
    const labelSelector = `app=${discovery},${revisionLabel}=${name}`;
    await this.#until(async () => {
      const { items } = await this.#client.of(podKind).list({ namespace, labelSelector });
      return items.length === 0 ? undefined : `${items.length} Pods of revision ${name} have not ended`;
    });
    await removeReports(this.#client, name);
  }

  /** Leads the cluster's API to the mesh's, and has Pods asked for by the webhooks of these revisions. */
  async serve(revisions: readonly { readonly name: string; readonly image: string }[]): Promise<void> {
    const first = await this.#stages({ name: defaultRevisionName, image: this.#design.image });
    await this.#installer.apply(partOf(first, "kinds"));
    const led = (await tagsOf(this.#client)).some(({ tag }) => tag === defaultRevisionName);
    for (const revision of revisions) {
      const stages = await this.#stages(revision);
      const webhooks = partOf(stages, "webhooks");
      const sleeps = led && revision.name === defaultRevisionName;
      await this.#installer.apply(sleeps ? webhooks.map((each) => asleep(each)) : webhooks);
      await this.#until(async () => injectionObstacle(this.#client, revision.name));
    }
  }

  /** Removes the control plane with all that it wrote, and the mesh's objects. */
  async removeApi(): Promise<void> {
    if (!(await this.#isOwn())) return;
    await removeInstallation(this.#client, async ({ what, holds }) =>
      this.#until(async () => ((await holds()) ? undefined : `it is not so yet that ${what}`)),
    );
  }

  /** Removes the mark, and the namespace where nobody else has anything in it. */
  async removeSpace(): Promise<void> {
    if (await this.#isOwn()) await removeMark(this.#client);
    if ((await readMark(this.#client)) === undefined && !(await this.#installer.found()))
      await removeInstalledNamespace(this.#client);
  }

  async #isOwn(): Promise<boolean> {
    return (await readMark(this.#client))?.mesh === this.#design.mesh;
  }

  async #stages(revision: {
    readonly name: string;
    readonly image: string;
    readonly maxObjects?: number;
    readonly maxProxies?: number;
    readonly places?: MembersPlaces;
  }): Promise<readonly InstallStage[]> {
    const { name, image, ...others } = revision;
    const { home } = this.#design;
    const members = membersOf(home);
    const { cluster = defaultCluster, network = "", imagePullPolicy = "IfNotPresent", replicas = 2 } = home;
    const { trustDomain = "cluster.local", ...settings } = (await readMark(this.#client))?.settings ?? {};
    const options: Omit<InstallOptions, "keys"> = {
      image,
      proxyImage: image,
      imagePullPolicy,
      cluster,
      network,
      replicas,
      trustDomain: String(trustDomain),
      settings,
      revision: name,
      store: storeOf(home),
      servers: home.servers ?? (home.store.kind === "Etcd" ? 2 : 1),
      ...(members && { members }),
      ...others,
    };
    const injector = mutatingWebhooks({ revision: name, namespace: installNames.namespace, cluster, network });
    if (name !== defaultRevisionName) return revisionStages(options, [injector]);
    const { keys } = await installKeys(await knownKeys(this.#client), this.#clock);
    return installStages({ ...options, keys }, [injector]);
  }

  async #deployment(revision: string): Promise<Deployment | undefined> {
    const { namespace, discovery } = installNames;
    const name = nameOfRevision(discovery, revision);
    return this.#client.of<Deployment>(deploymentKind).find({ namespace, name });
  }

  /** @throws WeftError `Unavailable` with what is still in the way after a while. */
  async #until(obstacle: () => Promise<string | undefined>): Promise<void> {
    const until = this.#clock.monotonic() + patienceMs;
    for (;;) {
      const found = await obstacle();
      if (found === undefined) return;
      if (this.#clock.monotonic() > until) throw new WeftError("Unavailable", found);
      await this.#clock.sleep(lookMs);
    }
  }
}

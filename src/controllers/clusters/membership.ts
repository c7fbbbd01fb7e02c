import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { type Secret, secret as secretKind } from "#api/kubernetes/secret.ts";
import { type Cluster, cluster as clusterKind } from "#api/weft/cluster.ts";
import type { Clock } from "#base/clock.ts";
import { WeftError, codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import type { ServerAddress } from "#kube/connection.ts";
import { formatKubeconfig } from "#kube/kubeconfig.ts";
import { clusterLabel, managedBy, memberAccount, memberNamespace } from "./member-objects.ts";

/** Present on a Cluster whose join has not finished; a repeated join goes on with it. */
export const joiningAnnotation = "mesh.weft.dev/joining";

/** The label of Istio's remote secrets, each key of which is a cluster's name. */
const remoteSecret = "istio/multiCluster";

/** Milliseconds between looks at a Cluster's status. */
const lookMs = 100;

/** What is said of a cluster when it joins. */
export type Place = Pick<Cluster["spec"], "network" | "region" | "zone" | "istioObjects">;

/** A condition that is waited for. */
export interface Awaited {
  readonly type: "Ready" | "Drained";
  /** Only this reason counts; any unless told. */
  readonly reason?: string;
  readonly limitMs: number;
  /** What to do when it does not come true. */
  readonly fix: string;
}

/** What the mesh's API holds of one cluster: its `Cluster` and the Secret of its kubeconfig. Everything may be done again. */
export class Membership {
  readonly #client: Client;
  readonly #name: string;
  readonly #clock: Clock;

  constructor(client: Client, name: string, clock: Clock) {
    this.#client = client;
    this.#name = name;
    this.#clock = clock;
  }

  /** Where the kubeconfig is. */
  get secret(): { readonly namespace: string; readonly name: string } {
    return { namespace: memberNamespace, name: `weft-cluster-${this.#name}` };
  }

  /** What tells this mesh from others. */
  async mesh(): Promise<string> {
    const { metadata } = await this.#client.of(namespaceKind).get({ name: memberNamespace });
    return metadata.uid;
  }

  /**
   * What somebody wrote that joins the cluster otherwise than a join does.
   * @param found the cluster's object.
   * @returns for people: what it is, and what takes it away; undefined where there is no such thing.
   */
  async otherwise(found: Cluster | undefined): Promise<string | undefined> {
    const name = this.#name;
    if (found) {
      const { kubeconfigSecret: secret, server } = found.spec;
      const own = this.secret;
      if (secret?.namespace === own.namespace && secret.name === own.name) return undefined;
      const by = secret ? `the Secret ${secret.namespace}/${secret.name}` : (server ?? "nothing yet");
      const fix = `weft cluster remove ${name} --gone drains it and deletes its Cluster; then delete ${secret ? `${by} and ` : ""}the control plane's account in the cluster`;
      return `somebody wrote the Cluster ${name}, which is reached by ${by}: ${fix}`;
    }
    const selection = { namespace: memberNamespace, labelSelector: `${remoteSecret}=true` };
    const { items } = await this.#client.of<Secret>(secretKind).list(selection);
    const remote = items.find(({ data = {} }) => Object.hasOwn(data, name));
    if (!remote) return undefined;
    const place = `${memberNamespace}/${remote.metadata.name}`;
    return `it is joined by the remote secret ${place}: delete that from the mesh, and then its account in the cluster`;
  }

  async find(): Promise<Cluster | undefined> {
    return this.#clusters.find({ name: this.#name });
  }

  /** Writes down that the cluster is to join. */
  async begin(place: Place): Promise<void> {
    const spec = { ...place, kubeconfigSecret: this.secret };
    const annotations = { [joiningAnnotation]: "true" };
    if (!(await this.find())) await this.#clusters.create({ metadata: { name: this.#name, annotations }, spec });
    else {
      const body = { spec: { ...spec, server: null, draining: null } };
      await this.#clusters.patch({ name: this.#name }, { kind: "merge", body });
    }
  }

  /** Gives the control plane its credentials. */
  async admit(server: ServerAddress): Promise<void> {
    const name = this.#name;
    const kubeconfig = formatKubeconfig([{ name, cluster: name, user: memberAccount, namespace: "default", server }]);
    const data = { kubeconfig: Buffer.from(kubeconfig).toString("base64") };
    const secrets = this.#client.of<Secret>(secretKind);
    const found = await secrets.find(this.secret);
    const labels = { [managedBy]: "weft", [clusterLabel]: name };
    if (found) await secrets.patch(this.secret, { kind: "merge", body: { data } });
    else await secrets.create({ metadata: { ...this.secret, labels }, type: "Opaque", data });
  }

  /** Writes down that the join has finished. */
  async finish(): Promise<void> {
    const body = { metadata: { annotations: { [joiningAnnotation]: null } } };
    await this.#clusters.patch({ name: this.#name }, { kind: "merge", body });
  }

  /** Says how the cluster serves the mesh's Istio objects. */
  async serve(istioObjects: "Aggregated" | "None"): Promise<void> {
    await this.#clusters.patch({ name: this.#name }, { kind: "merge", body: { spec: { istioObjects } } });
  }

  /** Says whether callers in other clusters are not to be led to it any more. */
  async drain(draining: boolean): Promise<void> {
    const body = { spec: { draining: draining || null } };
    await this.#clusters.patch({ name: this.#name }, { kind: "merge", body });
  }

  /** Removes the kubeconfig, and then the Cluster: as long as that is there, something is left to be done. */
  async end(): Promise<void> {
    await gone(this.#client.of(secretKind).delete(this.secret));
    await gone(this.#clusters.delete({ name: this.#name }));
  }

  /**
   * Waits until a condition of the cluster is true, of what it is now.
   * @param told called with what the cluster says meanwhile, each time that it says something else.
   * @throws WeftError `DeadlineExceeded` with the last that it said.
   */
  async becomes(
    { type, reason, limitMs, fix }: Awaited,
    told: (text: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const until = this.#clock.monotonic() + limitMs;
    let last = "";
    for (;;) {
      const { metadata, status } = await this.#clusters.get({ name: this.#name }, signal);
      const found = status?.conditions?.find((each) => each.type === type);
      const isNew = status?.observedGeneration === metadata.generation;
      if (isNew && found?.status === "True" && (reason === undefined || found.reason === reason)) return;
      const says = found
        ? `${found.reason}${found.message ? `: ${found.message}` : ""}`
        : "nothing says how it stands: see whether weft discovery runs";
      if (says !== last) told(says);
      last = says;
      if (this.#clock.monotonic() > until) {
        throw new WeftError(
          "DeadlineExceeded",
          `the cluster ${this.#name} is not ${type} after ${limitMs / 1000} s (${last}): ${fix}`,
        );
      }
      await this.#clock.sleep(lookMs, signal);
    }
  }

  get #clusters() {
    return this.#client.of<Cluster>(clusterKind);
  }
}

async function gone(deletion: Promise<void>): Promise<void> {
  try {
    await deletion;
  } catch (error) {
    if (codeOf(error) !== "NotFound") throw error;
  }
}

import type { ResourceObject } from "#api/meta.ts";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import { Informer } from "#kube/informer.ts";
import { type Access, accessOf, placeText } from "./access.ts";
import { keyProblem } from "./remote-problems.ts";
import type { SecretsContext } from "./secrets.ts";

/** The label of Secrets by which Istio joins clusters, each key a cluster's id, its value a kubeconfig. */
export const remoteSecretLabel = "istio/multiCluster";

/** A cluster that a Secret joins. */
export interface RemoteCluster {
  readonly name: string;
  /** The Secret, `namespace/name`. */
  readonly secret: string;
  /** When the Secret was made, in RFC 3339. */
  readonly created: string;
  readonly access: Access;
}

/** Istio's remote secrets in the mesh's own namespace. Of several with one cluster's id the oldest counts. */
export class RemoteSecrets {
  /** Resolves when all of them have been read. */
  readonly synced: Promise<void>;
  readonly done: Promise<void>;
  readonly #informer: Informer<ResourceObject>;
  readonly #context: SecretsContext;
  #clusters: ReadonlyMap<string, RemoteCluster> = new Map();
  /** Why Secrets, or keys of them, join nothing, as it was told last. */
  #refused: ReadonlySet<string> = new Set();
  #synced = false;

  /** @param changed called with the names of clusters that came, went, or have another Secret. */
  constructor(
    context: SecretsContext,
    namespace: string,
    changed: (clusters: readonly string[]) => void,
    signal: AbortSignal,
  ) {
    const { client, clock, logger } = context;
    this.#context = context;
    const selection = { namespace, labelSelector: `${remoteSecretLabel}=true` };
    this.#informer = new Informer({ client: client.of(secretKind), selection, clock, logger });
    const look = (): void => {
      const before = this.#clusters;
      this.#clusters = this.#read();
      changed([...new Set([...before.keys(), ...this.#clusters.keys()])]);
    };
    this.#informer.onChange(() => this.#synced && look());
    this.synced = this.#takeIn(look);
    this.done = this.#informer.run(signal);
  }

  async #takeIn(look: () => void): Promise<void> {
    await this.#informer.synced;
    this.#synced = true;
    look();
  }

  /** The clusters that they join, by name. */
  get clusters(): ReadonlyMap<string, RemoteCluster> {
    return this.#clusters;
  }

  /** Why Secrets, or keys of them, join nothing, each naming the Secret, the key and what to do. */
  get refused(): readonly string[] {
    return [...this.#refused];
  }

  #read(): ReadonlyMap<string, RemoteCluster> {
    const clusters = new Map<string, RemoteCluster>();
    const refused = new Set<string>();
    for (const secret of this.#informer.list().toSorted(byAge)) {
      const { metadata } = secret;
      const place = placeText(metadata);
      const names = Object.keys((secret as { readonly data?: object }).data ?? {}).toSorted();
      if (names.length === 0) {
        const fix = "put a kubeconfig under the cluster's id, or take the label from the Secret";
        this.#refuse(refused, place, `Secret ${place} has the label ${remoteSecretLabel} and no key: ${fix}`);
      }
      for (const name of names) {
        const taken = clusters.get(name);
        const created = metadata.creationTimestamp;
        if (!taken) clusters.set(name, { name, secret: place, created, access: accessOf(secret, name) });
        else {
          const why = `the cluster ${name} is joined by the Secret ${taken.secret} already; remove one of the two`;
          this.#refuse(refused, place, keyProblem(place, name, why));
        }
      }
    }
    this.#refused = refused;
    return clusters;
  }

  /** Says that a key of a Secret joins nothing, once until it joins again. */
  #refuse(refused: Set<string>, secret: string, why: string): void {
    refused.add(why);
    if (this.#refused.has(why)) return;
    this.#context.logger.warn("a key of a remote secret joins no cluster", { secret, why });
  }
}

function byAge({ metadata: a }: ResourceObject, { metadata: b }: ResourceObject): number {
  if (a.creationTimestamp !== b.creationTimestamp) return a.creationTimestamp < b.creationTimestamp ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

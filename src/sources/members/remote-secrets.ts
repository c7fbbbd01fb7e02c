import type { ResourceObject } from "#api/meta.ts";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import { Informer } from "#kube/informer.ts";
import { type Access, accessOf, placeText } from "./access.ts";
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
  /** Keys of Secrets that join nothing, as they were told last. */
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

  #read(): ReadonlyMap<string, RemoteCluster> {
    const clusters = new Map<string, RemoteCluster>();
    const refused = new Set<string>();
    for (const secret of this.#informer.list().toSorted(byAge)) {
      const { metadata } = secret;
      const place = placeText(metadata);
      for (const name of Object.keys((secret as { readonly data?: object }).data ?? {}).toSorted()) {
        const taken = clusters.get(name);
        const created = metadata.creationTimestamp;
        if (!taken) clusters.set(name, { name, secret: place, created, access: accessOf(secret, name) });
        else {
          refused.add(`${place} ${name}`);
          this.#refuse(place, name, `the cluster ${name} is joined by the Secret ${taken.secret} already`);
        }
      }
    }
    this.#refused = refused;
    return clusters;
  }

  /** Says that a key of a Secret joins nothing, until it joins again. */
  #refuse(secret: string, key: string, why: string): void {
    if (this.#refused.has(`${secret} ${key}`)) return;
    this.#context.logger.warn("a key of a remote secret joins no cluster", { secret, why });
  }
}

function byAge({ metadata: a }: ResourceObject, { metadata: b }: ResourceObject): number {
  if (a.creationTimestamp !== b.creationTimestamp) return a.creationTimestamp < b.creationTimestamp ? -1 : 1;
  return a.name < b.name ? -1 : 1;
}

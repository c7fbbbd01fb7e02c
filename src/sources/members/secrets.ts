import type { ResourceObject } from "#api/meta.ts";
import { secret as secretKind } from "#api/kubernetes/secret.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Client } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { type Access, accessOf, placeText } from "./access.ts";

/** Names a Secret and one of its keys. */
export interface SecretKey {
  readonly namespace: string;
  readonly name: string;
  readonly key: string;
}

/** What following Secrets needs. */
export interface SecretsContext {
  /** The mesh's API. */
  readonly client: Client;
  readonly clock: Clock;
  readonly logger: Logger;
}

interface Watched {
  readonly informer: Informer<ResourceObject>;
  readonly users: Map<string, SecretKey>;
  readonly end: AbortController;
  synced: boolean;
}

/** The Secrets that clusters name, each followed by itself for as long as somebody names it: the mesh may have many others. */
export class NamedSecrets {
  readonly #context: SecretsContext;
  readonly #changed: (cluster: string) => void;
  readonly #signal: AbortSignal;
  readonly #watched = new Map<string, Watched>();

  /** @param changed called with the name of a cluster whose access may be another. */
  constructor(context: SecretsContext, changed: (cluster: string) => void, signal: AbortSignal) {
    this.#context = context;
    this.#changed = changed;
    this.#signal = signal;
  }

  /** The access of a cluster by the Secret that it names; followed from now on. */
  access(cluster: string, key: SecretKey): Access {
    const place = placeText(key);
    for (const other of this.#watched.keys()) if (other !== place) this.#release(other, cluster);
    const watched = this.#watched.get(place) ?? this.#watch(place, key);
    watched.users.set(cluster, key);
    const found = watched.informer.get(key);
    if (found) return accessOf(found, key.key);
    if (!watched.synced) return { kind: "unknown" };
    return { kind: "none", reason: "NoSecret", message: `there is no Secret ${place}: make it, or name another one` };
  }

  /** Tells that a cluster names none any more. */
  forget(cluster: string): void {
    for (const place of this.#watched.keys()) this.#release(place, cluster);
  }

  #release(place: string, cluster: string): void {
    const watched = this.#watched.get(place);
    if (!watched?.users.delete(cluster) || watched.users.size > 0) return;
    watched.end.abort();
    this.#watched.delete(place);
  }

  async #read(watched: Watched, tell: () => void): Promise<void> {
    await watched.informer.synced;
    watched.synced = true;
    tell();
  }

  #watch(place: string, { namespace, name }: SecretKey): Watched {
    const { client, clock, logger } = this.#context;
    const selection = { namespace, fieldSelector: `metadata.name=${name}` };
    const informer = new Informer({ client: client.of(secretKind), selection, clock, logger });
    const watched: Watched = { informer, users: new Map(), end: new AbortController(), synced: false };
    const tell = (): void => {
      for (const cluster of watched.users.keys()) this.#changed(cluster);
    };
    this.#watched.set(place, watched);
    informer.onChange(tell);
    void this.#read(watched, tell);
    void informer.run(AbortSignal.any([this.#signal, watched.end.signal]));
    return watched;
  }
}

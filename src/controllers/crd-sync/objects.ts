import type { Kind } from "#api/kind.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Client, KindClient, ObjectName } from "#kube/client.ts";
import { Informer } from "#kube/informer.ts";
import { stubOf, stubSide, stubStatus } from "./content.ts";
import { definitionName } from "./definition.ts";
import type { Side } from "./decision.ts";

/** How objects are followed. */
export interface FollowOptions {
  readonly client: Client;
  readonly kind: Kind;
  readonly version?: string;
  readonly clock: Clock;
  readonly logger: Logger;
}

/** Names an object among all kinds: `virtualservices.networking.istio.io shop/reviews`. */
export function objectKey(kind: Pick<Kind, "plural" | "group">, { namespace = "", name }: ObjectName): string {
  return `${definitionName(kind)} ${namespace}/${name}`;
}

/** The parts of such a name. */
export function partsOf(key: string): {
  readonly definition: string;
  readonly namespace: string;
  readonly name: string;
} {
  const [definition = "", place = ""] = key.split(" ");
  const [namespace = "", name = ""] = place.split("/");
  return { definition, namespace, name };
}

/** The objects of one kind on one side. What they say is remembered by its hash alone, and read where it is needed. */
export class SideObjects {
  readonly kind: Kind;
  readonly client: KindClient<ResourceObject>;
  readonly #informer: Informer<ResourceObject>;

  constructor({ client, kind, version, clock, logger }: FollowOptions) {
    this.kind = kind;
    this.client = client.of(kind, version);
    this.#informer = new Informer({ client: this.client, clock, logger, trim: stubOf });
  }

  get synced(): Promise<void> {
    return this.#informer.synced;
  }

  async run(signal: AbortSignal): Promise<void> {
    await this.#informer.run(signal);
  }

  /** An object as it was told last. */
  side(name: ObjectName): Side {
    return stubSide(this.#informer.get(name));
  }

  /** The hash of an object's status, as it was told last; undefined where it has none. */
  status(name: ObjectName): string | undefined {
    return stubStatus(this.#informer.get(name));
  }

  /** Names of all objects, of one namespace where one is told. */
  names(namespace?: string): readonly ObjectName[] {
    return this.#informer.list(namespace).map(({ metadata }) => metadata);
  }

  /** Calls back with the name of each object that changes. */
  onChange(changed: (name: ObjectName) => void): Disposable {
    return this.#informer.onChange(({ before, after }) => {
      const object = after ?? before;
      if (object) changed(object.metadata);
    });
  }
}

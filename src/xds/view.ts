import { type EncodedResource, type TypeUrl, typeUrls } from "#proto/encoded.ts";
import type { Census } from "./census.ts";
import type { Difference } from "./difference.ts";
import type { Part } from "./part.ts";
import type { ConfigurationSize } from "./port.ts";
import type { Scope } from "./scope.ts";
import type { Past, Shown, Subscription } from "./shown.ts";

/** Whether a resource of one part of a view may hide another's of the same name. */
export function mayHide({ type, parts }: View): boolean {
  return type === typeUrls.virtualHost && parts.length > 1;
}

/** Counts the changes of a store: until the next one, what was worked out of its parts holds. */
export interface Age {
  readonly changes: number;
  /** What its scopes have. */
  readonly census: Census;
}

/** What proxies see of a type: the parts that the scopes of their class make up, in order. */
export class View implements Shown {
  readonly key: string;
  /** The same for a view of the same that is made later. */
  readonly identity: string;
  readonly type: TypeUrl;
  readonly parts: readonly Part[];
  readonly subscription: Subscription;
  /** How often it is held; counted by the store. */
  holds = 0;
  #differences: Map<string, Difference> | undefined;
  readonly #age: Age;
  #readAt = -1;
  #revision = 0;
  #grownAt = 0;
  #floor = 0;
  #size: { readonly revision: number; readonly told: ConfigurationSize } | undefined;

  constructor(
    id: number,
    identity: string,
    type: TypeUrl,
    parts: readonly Part[],
    subscription: Subscription,
    age: Age,
  ) {
    this.key = `view ${id}`;
    this.identity = identity;
    this.type = type;
    this.parts = parts;
    this.subscription = subscription;
    this.#age = age;
  }

  get revision(): number {
    this.#read();
    return this.#revision;
  }

  /** Revision in which a resource last came to it that it did not have. */
  get grownAt(): number {
    this.#read();
    return this.#grownAt;
  }

  get floor(): number {
    this.#read();
    return this.#floor;
  }

  /** Differences to now, by what a proxy held; of the only part where there is one. */
  get differences(): Map<string, Difference> {
    const [only, ...others] = this.parts;
    if (only && others.length === 0) return only.differences;
    this.#read();
    this.#differences ??= new Map();
    return this.#differences;
  }

  /** How much it is; worked out once for all proxies that hold it, when somebody asks. */
  get size(): ConfigurationSize {
    const { revision } = this;
    if (this.#size?.revision !== revision) {
      let [resources, bytes] = [0, 0];
      for (const { any } of this.resources()) {
        resources += 1;
        bytes += any.length;
      }
      this.#size = { revision, told: { resources, bytes } };
    }
    return this.#size.told;
  }

  /** Whether it is held for more than one proxy, each of which holds it as what it has and as what it is to have. */
  get shared(): boolean {
    return this.holds > 2;
  }

  get scopes(): readonly Scope[] {
    return this.parts.map((part) => part.scope);
  }

  asksFor(name: string): boolean {
    return this.subscription.wildcard || this.subscription.names.has(name);
  }

  get(name: string): EncodedResource | undefined {
    if (!this.#age.census.has(name)) return undefined;
    for (const part of this.parts) {
      const resource = part.get(name);
      if (resource) return resource;
    }
    return undefined;
  }

  *resources(): Generator<EncodedResource> {
    for (const [at, part] of this.parts.entries()) {
      const earlier = this.parts.slice(0, at);
      for (const resource of part.resources()) {
        if (!earlier.some((other) => other.get(resource.name))) yield resource;
      }
    }
  }

  changedSince(revision: number): ReadonlyMap<string, Past | undefined> {
    const changes = this.parts.map((part) => part.changedSince(revision));
    const [only, ...others] = changes;
    if (only && others.length === 0) return only;
    const merged = new Map<string, Past | undefined>();
    for (const name of changes.flatMap((each) => [...each.keys()])) {
      if (!merged.has(name)) merged.set(name, this.#before(name, changes));
    }
    return merged;
  }

  /** Takes in what changed: each proxy asks many times for what stays the same in between. */
  #read(): void {
    if (this.#readAt === this.#age.changes) return;
    this.#readAt = this.#age.changes;
    const before = this.#revision;
    for (const { revision, grownAt, floor } of this.parts) {
      this.#revision = Math.max(this.#revision, revision);
      this.#grownAt = Math.max(this.#grownAt, grownAt);
      this.#floor = Math.max(this.#floor, floor);
    }
    if (this.#revision !== before) this.#differences = undefined;
  }

  #before(name: string, changes: readonly ReadonlyMap<string, Past | undefined>[]): Past | undefined {
    for (const [at, part] of this.parts.entries()) {
      const resource = part.get(name);
      const now = resource && { version: resource.version, resource };
      const before = changes[at]?.has(name) ? changes[at].get(name) : now;
      if (before) return before;
    }
    return undefined;
  }
}

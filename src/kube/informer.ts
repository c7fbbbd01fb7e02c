import type { ResourceObject } from "#api/meta.ts";
import type { ObjectName } from "./client.ts";
import { Reflector, keyOf } from "./reflector.ts";
import type { Change, ReflectorOptions } from "./reflector.ts";

/** A change of one object: created without `before`, deleted without `after`. */
export interface ObjectChange<T extends ResourceObject> {
  readonly before?: T;
  readonly after?: T;
}

/** What an informer follows; `indexes` say under which values of an index an object stands. */
export interface InformerOptions<T extends ResourceObject> extends ReflectorOptions<T> {
  readonly indexes?: Readonly<Record<string, (object: T) => readonly string[]>>;
}

/** A local copy of the objects of a selection, kept up to date, with indexes. */
export class Informer<T extends ResourceObject> {
  /** Resolves when the first complete state has been read. */
  readonly synced: Promise<void>;
  readonly #reflector: Reflector<T>;
  readonly #indexers: Readonly<Record<string, (object: T) => readonly string[]>>;
  readonly #objects = new Map<string, T>();
  readonly #indexes = new Map<string, Map<string, Map<string, T>>>();
  readonly #handlers = new Set<(change: ObjectChange<T>) => void>();
  readonly #markSynced: () => void;

  constructor(options: InformerOptions<T>) {
    this.#indexers = options.indexes ?? {};
    for (const name of Object.keys(this.#indexers)) this.#indexes.set(name, new Map());
    const { promise, resolve } = Promise.withResolvers<void>();
    this.synced = promise;
    this.#markSynced = resolve;
    this.#reflector = new Reflector(options, (change) => this.#apply(change));
  }

  /** Follows the API server until the signal aborts; never rejects. */
  async run(signal: AbortSignal): Promise<void> {
    await this.#reflector.run(signal);
  }

  /** The object as last seen. */
  get(name: ObjectName): T | undefined {
    return this.#objects.get(keyOf(name));
  }

  /** All objects as last seen, of one namespace where one is told. */
  list(namespace?: string): readonly T[] {
    const all = [...this.#objects.values()];
    return namespace === undefined ? all : all.filter((object) => object.metadata.namespace === namespace);
  }

  /** The objects that stand under a value of an index. */
  by(index: string, value: string): readonly T[] {
    return [...(this.#indexes.get(index)?.get(value)?.values() ?? [])];
  }

  /** Calls the handler for each object known now (as created) and for each change from now on, after the cache has it. */
  onChange(handler: (change: ObjectChange<T>) => void): Disposable {
    this.#handlers.add(handler);
    for (const after of this.#objects.values()) handler({ after });
    return { [Symbol.dispose]: () => this.#handlers.delete(handler) };
  }

  #apply(change: Change<T>): void {
    if (change.kind === "delete") this.#set(change.object, undefined);
    else if (change.kind === "put") this.#set(change.object, change.object);
    else {
      for (const object of change.objects) {
        const known = this.#objects.get(keyOf(object.metadata));
        if (known?.metadata.resourceVersion !== object.metadata.resourceVersion) this.#set(object, object);
      }
      this.#markSynced();
    }
  }

  #set({ metadata }: T, after: T | undefined): void {
    const key = keyOf(metadata);
    const before = this.#objects.get(key);
    if (before === undefined && after === undefined) return;
    if (after === undefined) this.#objects.delete(key);
    else this.#objects.set(key, after);
    for (const [name, valuesOf] of Object.entries(this.#indexers)) this.#reindex(name, valuesOf, key, before, after);
    const change = { ...(before === undefined ? {} : { before }), ...(after === undefined ? {} : { after }) };
    for (const handler of this.#handlers) handler(change);
  }

  #reindex(
    name: string,
    valuesOf: (object: T) => readonly string[],
    key: string,
    before: T | undefined,
    after: T | undefined,
  ): void {
    const index = this.#indexes.get(name);
    if (index === undefined) return;
    for (const value of before === undefined ? [] : valuesOf(before)) {
      const held = index.get(value);
      held?.delete(key);
      if (held?.size === 0) index.delete(value);
    }
    for (const value of after === undefined ? [] : valuesOf(after)) {
      const held = index.get(value) ?? new Map<string, T>();
      index.set(value, held.set(key, after as T));
    }
  }
}

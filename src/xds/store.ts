import type { Logger } from "#base/logger.ts";
import type { Engine } from "#incremental/engine.ts";
import type { TypeUrl } from "#proto/encoded.ts";
import { NameSets } from "./names.ts";
import type { ResourceSource, ScopeKey } from "./port.ts";
import { Scope, type Changes } from "./scope.ts";
import { View, type Subscription, type ViewUser } from "./view.ts";

/** What the store needs. */
export interface StoreOptions {
  readonly engine: Engine;
  readonly source: ResourceSource;
  readonly logger: Logger;
  /** Called after each change with the views that it changed. */
  readonly changed: (views: readonly View[]) => void;
}

/**
 * The scopes and views in use, each once for however many proxies share it. A change costs one look at each view of
 * the scopes it touched; what nobody uses is let go.
 */
export class ScopeStore implements Disposable {
  /** Interner of all name sets of this store's views. */
  readonly sets = new NameSets();
  readonly #options: StoreOptions;
  readonly #scopes = new Map<string, Scope>();
  readonly #views = new Map<string, View>();
  readonly #viewsOf = new Map<Scope, Set<View>>();
  readonly #touched = new Set<Scope>();
  readonly #settled: Disposable;
  #made = 0;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#settled = options.engine.onSettled(() => this.#settle());
  }

  /** How many scopes and views are held now. */
  get size(): { readonly scopes: number; readonly views: number } {
    return { scopes: this.#scopes.size, views: this.#views.size };
  }

  /** The view for a type, scopes and subscription, held until `release` with the same user. */
  hold(type: TypeUrl, keys: readonly ScopeKey[], subscription: Subscription, user: ViewUser): View {
    const key = this.#keyOf(type, keys, subscription);
    const seen = subscription.wildcard ? { wildcard: true, names: this.sets.empty } : subscription;
    const view = this.#views.get(key) ?? this.#make(key, type, keys, seen);
    view.users.add(user);
    return view;
  }

  /** Lets go of a view. */
  release(view: View, user: ViewUser): void {
    view.users.delete(user);
    if (view.users.size > 0) return;
    const keys = view.scopes.map((scope) => scope.key);
    const key = this.#keyOf(view.type, keys, view.subscription);
    if (this.#views.get(key) !== view) return;
    this.#views.delete(key);
    for (const scope of view.scopes) this.#leave(scope, view);
  }

  [Symbol.dispose](): void {
    this.#settled[Symbol.dispose]();
    for (const scope of this.#scopes.values()) scope.dispose();
    this.#scopes.clear();
    this.#views.clear();
  }

  #keyOf(type: TypeUrl, keys: readonly ScopeKey[], { wildcard, names }: Subscription): string {
    return JSON.stringify([type, wildcard, wildcard ? 0 : names.id, keys]);
  }

  #make(key: string, type: TypeUrl, keys: readonly ScopeKey[], subscription: Subscription): View {
    const scopes = keys.map((scope) => this.#scope(scope, subscription.wildcard));
    this.#made += 1;
    const view = new View(this.#made, type, scopes, subscription, this.#options.engine.revision);
    for (const scope of scopes) {
      this.#viewsOf.get(scope)?.add(view);
      if (!subscription.wildcard) for (const name of subscription.names) scope.retain(name);
    }
    this.#views.set(key, view);
    return view;
  }

  #scope(key: ScopeKey, whole: boolean): Scope {
    const id = `${whole ? "whole" : "named"} ${key}`;
    let scope = this.#scopes.get(id);
    if (!scope) {
      const { engine, source, logger } = this.#options;
      scope = new Scope(key, whole, { engine, source, logger, touched: (touched) => this.#touched.add(touched) });
      this.#scopes.set(id, scope);
      this.#viewsOf.set(scope, new Set());
    }
    return scope;
  }

  #leave(scope: Scope, view: View): void {
    const views = this.#viewsOf.get(scope);
    views?.delete(view);
    const { wildcard, names } = view.subscription;
    if (!wildcard) for (const name of names) scope.release(name);
    if (views && views.size > 0) return;
    this.#viewsOf.delete(scope);
    this.#scopes.delete(`${wildcard ? "whole" : "named"} ${scope.key}`);
    this.#touched.delete(scope);
    scope.dispose();
  }

  #settle(): void {
    if (this.#touched.size === 0) return;
    const changed = new Map<Scope, Changes>();
    for (const scope of this.#touched) {
      const changes = scope.settle();
      if (changes.size > 0) changed.set(scope, changes);
    }
    this.#touched.clear();
    const candidates = new Set<View>();
    for (const scope of changed.keys()) for (const view of this.#viewsOf.get(scope) ?? []) candidates.add(view);
    const { revision } = this.#options.engine;
    const views = [...candidates].filter((view) => view.settle(revision, changed));
    if (views.length > 0) this.#options.changed(views);
  }
}

import { hash } from "node:crypto";
import type { Logger } from "#base/logger.ts";
import type { Engine } from "#incremental/engine.ts";
import type { TypeUrl } from "#proto/encoded.ts";
import { Census } from "./census.ts";
import { tooManyUnknown } from "./misconduct.ts";
import { NameSets } from "./names.ts";
import { Part, type PartUser } from "./part.ts";
import type { ResourceSource, ScopeKey } from "./port.ts";
import { Scope } from "./scope.ts";
import type { Subscription } from "./shown.ts";
import { isWholeType } from "./subscription.ts";
import { View } from "./view.ts";

/** What the store needs. */
export interface StoreOptions {
  readonly engine: Engine;
  readonly source: ResourceSource;
  readonly logger: Logger;
  /** Names that one subscription may have for which there is nothing. */
  readonly unknownNames: number;
  /** Called after each change with the parts that it changed. */
  readonly changed: (parts: readonly Part[]) => void;
}

/**
 * The scopes in use, and the parts and views of them, each once for however many proxies share it. A change costs one
 * look at each part of the scopes it touched; what nobody uses is let go.
 */
export class ScopeStore implements Disposable {
  /** Interner of all name sets of this store's views. */
  readonly sets = new NameSets();
  readonly #options: StoreOptions;
  readonly #scopes = new Map<string, Scope>();
  readonly #partsOf = new Map<Scope, Map<string, Part>>();
  readonly #views = new Map<string, View>();
  readonly #touched = new Set<Scope>();
  readonly #scopeHashes = new WeakMap<readonly ScopeKey[], string>();
  readonly #settled: Disposable;
  readonly #age = { changes: 0, census: new Census() };
  #grownAt = 0;
  #made = 0;

  constructor(options: StoreOptions) {
    this.#options = options;
    this.#settled = options.engine.onSettled(() => this.#settle());
  }

  /** How many scopes and views are held now. */
  get size(): { readonly scopes: number; readonly views: number } {
    return { scopes: this.#scopes.size, views: this.#views.size };
  }

  /** How often something of what is held has changed. */
  get changes(): number {
    return this.#age.changes;
  }

  /** Revision in which a resource last came to any part that did not have it. */
  get grownAt(): number {
    return this.#grownAt;
  }

  /** The view for a type, scopes and subscription, held until `release` with the same user. */
  hold(type: TypeUrl, scopes: readonly ScopeKey[], subscription: Subscription, user: PartUser): View {
    const seen = subscription.wildcard ? { wildcard: true, names: this.sets.empty } : subscription;
    const key = this.#identityOf(type, scopes, seen);
    let view = this.#views.get(key);
    if (!view) {
      this.#made += 1;
      const parts = scopes.map((scope) => this.#part(type, scope, seen));
      view = new View(this.#made, key, type, parts, seen, this.#age);
      this.#views.set(key, view);
    }
    this.share(view, user);
    return view;
  }

  /** Holds a view once more. */
  share(view: View, user: PartUser): void {
    view.holds += 1;
    for (const part of view.parts) part.hold(user);
  }

  /** Lets go of a view once. */
  release(view: View, user: PartUser): void {
    view.holds -= 1;
    if (view.holds === 0) this.#views.delete(view.identity);
    for (const part of view.parts) {
      part.release(user);
      if (!part.used) this.#drop(part);
    }
  }

  [Symbol.dispose](): void {
    this.#settled[Symbol.dispose]();
    for (const scope of this.#scopes.values()) scope.dispose();
    this.#scopes.clear();
    this.#views.clear();
  }

  /**
   * Checks that there is something for most of what a client asks for by name. Looking for what is not there costs memory
   * and time for each name: it ends before that is much.
   * @param held whether the client says that it holds some: then they were there, and more of them may have gone.
   * @throws Misconduct when there is nothing for too many of the names.
   */
  checkKnown(type: TypeUrl, keys: readonly ScopeKey[], { wildcard, names }: Subscription, held: boolean): void {
    const most = this.#options.unknownNames * (held ? heldShare : 1);
    if (wildcard || names.size <= most) return;
    const scopes = keys.map((key) => this.#scope(key, isWholeType(type)));
    const all = [...names];
    let looked = 0;
    let unknown = 0;
    while (looked < all.length && unknown <= most) {
      unknown += unknownIn(scopes, all.slice(looked, looked + checkedAtOnce));
      looked += checkedAtOnce;
    }
    for (const scope of scopes) {
      if (!scope.whole) for (const name of all.slice(0, looked)) scope.release(name);
      if (!this.#partsOf.has(scope)) this.#dropScope(scope);
    }
    if (unknown > most) throw tooManyUnknown(most);
  }

  #part(type: TypeUrl, key: ScopeKey, subscription: Subscription): Part {
    const scope = this.#scope(key, isWholeType(type));
    const parts = this.#partsOf.get(scope) ?? new Map<string, Part>();
    const id = String(subscription.names.id);
    let part = parts.get(id);
    if (!part) {
      this.#made += 1;
      part = new Part(this.#made, scope, subscription, this.#options.engine.revision);
      if (!scope.whole) for (const name of subscription.names) scope.retain(name);
      this.#partsOf.set(scope, parts.set(id, part));
    }
    return part;
  }

  #scope(key: ScopeKey, whole: boolean): Scope {
    const id = scopeId(key, whole);
    let scope = this.#scopes.get(id);
    if (!scope) {
      const { engine, source, logger } = this.#options;
      const touched = (of: Scope): void => void this.#touched.add(of);
      scope = new Scope(key, whole, { engine, source, logger, census: this.#age.census, touched });
      this.#scopes.set(id, scope);
    }
    return scope;
  }

  /** What a view is, shortly: the names of twenty scopes would be kept for each proxy. Lists of scopes are shared by proxies. */
  #identityOf(type: TypeUrl, scopes: readonly ScopeKey[], { wildcard, names }: Subscription): string {
    let scoped = this.#scopeHashes.get(scopes);
    if (scoped === undefined) {
      scoped = hash("sha256", JSON.stringify(scopes), "base64url");
      this.#scopeHashes.set(scopes, scoped);
    }
    return `${type} ${wildcard} ${names.id} ${scoped}`;
  }

  #drop({ scope, subscription }: Part): void {
    if (!scope.whole) for (const name of subscription.names) scope.release(name);
    const parts = this.#partsOf.get(scope);
    parts?.delete(String(subscription.names.id));
    if (parts && parts.size > 0) return;
    this.#partsOf.delete(scope);
    this.#dropScope(scope);
  }

  #dropScope(scope: Scope): void {
    this.#scopes.delete(scopeId(scope.key, scope.whole));
    this.#touched.delete(scope);
    scope.dispose();
  }

  #settle(): void {
    if (this.#touched.size === 0) return;
    const { revision } = this.#options.engine;
    const changed: Part[] = [];
    for (const scope of this.#touched) {
      this.#touched.delete(scope);
      const changes = scope.settle();
      if (changes.size === 0) continue;
      for (const part of this.#partsOf.get(scope)?.values() ?? [])
        if (part.settle(revision, changes)) changed.push(part);
    }
    if (changed.length === 0) return;
    if (changed.some((part) => part.grownAt === revision)) this.#grownAt = revision;
    this.#age.changes += 1;
    this.#options.changed(changed);
  }
}

function scopeId(key: ScopeKey, whole: boolean): string {
  return `${whole ? "whole" : "named"} ${key}`;
}

/** As many times the limit may have gone of what a client held when it comes back. */
const heldShare = 4;

/** Names that are looked for in one scope before the next, whose turn has a cost. */
const checkedAtOnce = 500;

/** How many of some names are in none of some scopes. Those that are not whole retain all of them, as parts will. */
function unknownIn(scopes: readonly Scope[], names: readonly string[]): number {
  let left = names;
  for (const scope of scopes) {
    if (!scope.whole) for (const name of names) scope.retain(name);
    left = left.filter((name) => !scope.get(name));
  }
  return left.length;
}

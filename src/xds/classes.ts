import { messageOf } from "#base/errors.ts";
import type { Logger } from "#base/logger.ts";
import type { Engine, Observation } from "#incremental/engine.ts";
import type { ProxyNode, ProxyScopes, ResourceSource, VirtualHostUse } from "./port.ts";

/** Proxies that get the same. */
export interface ProxyClass {
  readonly key: string;
  /** The scopes of each type as of the last settled change. */
  readonly scopes: ProxyScopes;
}

/** A member of a class. */
export interface ClassMember {
  /** The class has other scopes now. */
  rescope(): void;
}

class ObservedClass implements ProxyClass {
  readonly members = new Set<ClassMember>();
  readonly key: string;
  readonly observation: Observation<ProxyScopes>;
  scopes: ProxyScopes;

  constructor(engine: Engine, source: ResourceSource, key: string, touched: () => void) {
    this.key = key;
    this.observation = engine.observe(source.scopes, key, touched);
    try {
      this.scopes = this.observation.current;
    } catch (fault) {
      this.observation[Symbol.dispose]();
      throw fault;
    }
  }
}

/** The classes of the connected proxies, each with its scopes kept up to date. */
export class ProxyClasses implements Disposable {
  readonly #engine: Engine;
  readonly #source: ResourceSource;
  readonly #logger: Logger;
  readonly #classes = new Map<string, ObservedClass>();
  readonly #touched = new Set<ObservedClass>();
  readonly #of = new Map<ClassMember, string>();
  readonly #settled: Disposable;

  constructor(engine: Engine, source: ResourceSource, logger: Logger) {
    this.#engine = engine;
    this.#source = source;
    this.#logger = logger;
    this.#settled = engine.onSettled(() => this.#settle());
  }

  /** Enters a proxy in its class. Throws what the source throws. */
  join(member: ClassMember, node: ProxyNode, virtualHosts: VirtualHostUse): ProxyClass {
    const key = this.#source.classOf(node, virtualHosts);
    let found = this.#classes.get(key);
    if (!found) {
      const made: ObservedClass = new ObservedClass(this.#engine, this.#source, key, () => this.#touched.add(made));
      found = made;
      this.#classes.set(key, made);
    }
    found.members.add(member);
    this.#of.set(member, key);
    return found;
  }

  /** Takes a proxy out of its class. */
  leave(member: ClassMember): void {
    const key = this.#of.get(member);
    const left = key === undefined ? undefined : this.#classes.get(key);
    if (key === undefined || !left) return;
    this.#of.delete(member);
    left.members.delete(member);
    if (left.members.size > 0) return;
    left.observation[Symbol.dispose]();
    this.#classes.delete(key);
    this.#touched.delete(left);
  }

  [Symbol.dispose](): void {
    this.#settled[Symbol.dispose]();
    for (const { observation } of this.#classes.values()) observation[Symbol.dispose]();
    this.#classes.clear();
  }

  #settle(): void {
    for (const changed of this.#touched) {
      this.#touched.delete(changed);
      try {
        changed.scopes = changed.observation.current;
      } catch (fault) {
        this.#logger.error("a class's scopes could not be computed; the last ones stay", { error: messageOf(fault) });
        continue;
      }
      for (const member of changed.members) member.rescope();
    }
  }
}

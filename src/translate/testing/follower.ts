import type { Engine, Observation } from "#incremental/engine.ts";
import type { Query } from "#incremental/query.ts";
import { type EncodedResource, type TypeUrl, typeUrls } from "#proto/encoded.ts";
import type { Translator } from "../translator.ts";
import { awaited, hostScopes } from "../proxy-resources.ts";

/** Observations by name, of which those that are not asked for again are given up. */
class Held {
  readonly #engine: Engine;
  #before = new Map<string, Observation<unknown>>();
  #now = new Map<string, Observation<unknown>>();

  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** A query's value, observed from now on. */
  value<A, V>(query: Query<A, V>, arg: A, key: string): V {
    const name = `${query.name}\n${key}`;
    const known = this.#now.get(name) ?? this.#before.get(name) ?? this.#engine.observe(query, arg);
    this.#now.set(name, known);
    return (known as Observation<V>).current;
  }

  /** Gives up what was not asked for since the last time. */
  sweep(): void {
    for (const [name, observation] of this.#before) if (!this.#now.has(name)) observation[Symbol.dispose]();
    this.#before = this.#now;
    this.#now = new Map();
  }
}

/** What a class of proxies holds, by type and name. */
export type Holdings = ReadonlyMap<TypeUrl, ReadonlyMap<string, EncodedResource>>;

/** Follows what classes of proxies get, as the xDS server does: everything that some proxy holds is observed. */
export class Follower {
  readonly #translator: Translator;
  readonly #held: Held;
  #classes: readonly string[] = [];

  constructor(engine: Engine, translator: Translator) {
    this.#translator = translator;
    this.#held = new Held(engine);
  }

  /** Follows these classes from now on, and gives what each of them gets now. */
  follow(classes: readonly string[]): ReadonlyMap<string, Holdings> {
    this.#classes = [...new Set(classes)];
    return this.refresh();
  }

  /** What each class gets now. */
  refresh(): ReadonlyMap<string, Holdings> {
    const all = new Map(this.#classes.map((key) => [key, this.#holdings(key)]));
    this.#held.sweep();
    return all;
  }

  #holdings(key: string): Holdings {
    const scopes = this.#held.value(this.#translator.scopes, key, key);
    const cluster = this.#whole(scopes[typeUrls.cluster]);
    const listener = this.#whole(scopes[typeUrls.listener]);
    const route = this.#named(scopes[typeUrls.route], awaited(listener));
    const hosts = hostScopes(this.#translator, scopes[typeUrls.virtualHost], route);
    return new Map<TypeUrl, ReadonlyMap<string, EncodedResource>>([
      [typeUrls.cluster, cluster],
      [typeUrls.listener, listener],
      [typeUrls.endpoints, this.#named(scopes[typeUrls.endpoints], awaited(cluster))],
      [typeUrls.route, route],
      [typeUrls.virtualHost, this.#whole(hosts)],
      [typeUrls.secret, this.#whole(scopes[typeUrls.secret])],
      [typeUrls.extension, this.#whole(scopes[typeUrls.extension])],
      [typeUrls.bootstrap, this.#whole(scopes[typeUrls.bootstrap])],
      [typeUrls.nameTable, this.#whole(scopes[typeUrls.nameTable])],
    ]);
  }

  #resource(scope: string, name: string): EncodedResource | undefined {
    return this.#held.value(this.#translator.resource, { scope, name }, `${name}\n${scope}`);
  }

  #whole(scopes: readonly string[]): ReadonlyMap<string, EncodedResource> {
    const found = scopes.flatMap((scope) =>
      this.#held
        .value(this.#translator.names, scope, scope)
        .flatMap((name) => this.#resource(scope, name) ?? [])
        .map((resource) => [resource.name, resource] as const),
    );
    // Of virtual hosts the first scope that has one wins.
    return new Map(found.toReversed());
  }

  #named(scopes: readonly string[], names: readonly string[]): ReadonlyMap<string, EncodedResource> {
    const found = [...new Set(names)].flatMap((name) =>
      scopes.flatMap((scope) => this.#resource(scope, name) ?? []).map((resource) => [name, resource] as const),
    );
    return new Map(found);
  }
}

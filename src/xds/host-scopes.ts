import type { NameSet } from "./names.ts";
import type { ProxyNode, ResourceSource, ScopeKey, VirtualHostUse } from "./port.ts";
import type { Variant } from "./message.ts";

/** The first version of Envoy that takes virtual hosts over ADS; 1.36 refuses the route configurations that ask for them. */
const firstApart = 37;
/**
 * The first that asks for them without failing a request: before 1.40 one whose body is not read yet when the answer comes
 * gets 404.
 */
const firstAsked = 40;

/** What a proxy does with virtual hosts. Clients other than Envoy do not say their version. */
export function virtualHostUse({ version }: ProxyNode, variant: Variant): VirtualHostUse {
  const [major = 0, minor = 0] = version.split(".").map(Number);
  const since = (first: number): boolean => major > 1 || (major === 1 && minor >= first);
  if (variant !== "delta" || !since(firstApart)) return "inside";
  return since(firstAsked) ? "asked" : "apart";
}

/**
 * The scopes of virtual hosts that belong to the route configurations of a proxy. Proxies of one class with the same
 * configurations share the list.
 */
export class HostScopes {
  readonly #source: ResourceSource;
  readonly #known = new WeakMap<readonly ScopeKey[], WeakMap<NameSet, readonly ScopeKey[]>>();

  constructor(source: ResourceSource) {
    this.#source = source;
  }

  /**
   * @param scopes a class's scopes of virtual hosts.
   * @param configurations names of the route configurations that a proxy asks for.
   */
  of(scopes: readonly ScopeKey[], configurations: NameSet): readonly ScopeKey[] {
    const known = this.#known.get(scopes) ?? new WeakMap<NameSet, readonly ScopeKey[]>();
    this.#known.set(scopes, known);
    let found = known.get(configurations);
    if (!found) {
      found = scopes.flatMap((scope) =>
        [...configurations].toSorted().flatMap((name) => this.#source.hostScope(scope, name) ?? []),
      );
      known.set(configurations, found);
    }
    return found;
  }
}

import { equal as equalValues } from "#base/canonical.ts";
import type { Derived, Graph, Node } from "./node.ts";

/** How a query is declared. */
export interface QueryOptions<A, V> {
  /** Names the query in statistics and in messages about cycles. */
  readonly name: string;
  /** The argument as a key: equal arguments, equal keys. Strings are their own key. */
  readonly key: (arg: A) => string;
  /** Pure function of the argument and of what it reads through other queries and tables. */
  readonly compute: (arg: A) => V;
  /** Whether two values are the same for every reader; deep equality unless told. */
  readonly equal?: (a: V, b: V) => boolean;
}

type Outcome<V> = { readonly kind: "value"; readonly value: V } | { readonly kind: "fault"; readonly fault: unknown };

/** One memoised result of a query: what it gave for one key, and what it read for that. */
class QueryNode<A, V> implements Derived {
  readonly dependents = new Set<Derived>();
  dependencies: readonly Node[] = [];
  height = 0;
  stale = true;
  busy = false;
  ranAt = 0;
  observers = 0;
  readonly #graph: Graph;
  readonly #options: QueryOptions<A, V>;
  readonly #memo: Map<string, QueryNode<A, V>>;
  readonly #arg: A;
  readonly #key: string;
  #checkedAt = 0;
  #outcome: Outcome<V> | undefined;

  constructor(graph: Graph, options: QueryOptions<A, V>, memo: Map<string, QueryNode<A, V>>, arg: A, key: string) {
    this.#graph = graph;
    this.#options = options;
    this.#memo = memo;
    this.#arg = arg;
    this.#key = key;
  }

  get label(): string {
    return `${this.#options.name}(${this.#key})`;
  }

  /** The up-to-date value, or what the computation threw. */
  read(): V {
    if (this.busy) throw this.#graph.circle(this);
    this.refresh();
    const outcome = this.#outcome;
    if (outcome?.kind === "value") return outcome.value;
    throw outcome?.fault;
  }

  refresh(): void {
    if (!this.stale && this.height >= this.#graph.floor) this.#check();
    if (this.stale) this.#recompute();
  }

  release(): void {
    // Whoever still holds the node (an ended observation) gets a fresh computation.
    this.stale = true;
    this.#memo.delete(this.#key);
  }

  /**
   * Brings what was read up to date, by which the node becomes stale where that changes. In the order of reading: an
   * earlier value may decide whether a later one is read at all.
   */
  #check(): void {
    const { revision } = this.#graph;
    if (this.#checkedAt === revision) return;
    this.#checkedAt = revision;
    this.#graph.visited();
    this.busy = true;
    for (const dependency of this.dependencies) {
      if (dependency.busy) this.stale = true;
      else dependency.refresh();
      if (this.stale) break;
    }
    this.busy = false;
  }

  #recompute(): void {
    this.stale = false;
    this.ranAt = this.#graph.revision;
    const before = this.#outcome;
    const after = this.#compute();
    const same =
      before?.kind === "value" &&
      after.kind === "value" &&
      (this.#options.equal ?? equalValues)(before.value, after.value);
    if (same) return;
    this.#outcome = after;
    this.#graph.changed(this);
  }

  #compute(): Outcome<V> {
    this.busy = true;
    try {
      return {
        kind: "value",
        value: this.#graph.run(this, this.#options.name, () => this.#options.compute(this.#arg)),
      };
    } catch (fault) {
      return { kind: "fault", fault };
    } finally {
      this.busy = false;
    }
  }
}

/** A memoised, tracked function. Reading it inside another query's `compute` records the dependency. */
export class Query<A, V> {
  readonly name: string;
  readonly #graph: Graph;
  readonly #options: QueryOptions<A, V>;
  readonly #memo = new Map<string, QueryNode<A, V>>();

  constructor(graph: Graph, options: QueryOptions<A, V>) {
    this.name = options.name;
    this.#graph = graph;
    this.#options = options;
  }

  /** The up-to-date value. Rethrows what `compute` threw. */
  get(arg: A): V {
    const node = this.node(arg);
    this.#graph.track(node);
    return node.read();
  }

  /** The result's place in the graph, for the engine. */
  node(arg: A): Node & { read(): V } {
    const key = this.#options.key(arg);
    let node = this.#memo.get(key);
    if (!node) {
      node = new QueryNode(this.#graph, this.#options, this.#memo, arg, key);
      this.#memo.set(key, node);
    }
    return node;
  }

  /** How many results are held. */
  get size(): number {
    return this.#memo.size;
  }
}

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
  readonly label: string;
  readonly dependents = new Set<Derived>();
  dependencies: readonly Node[] = [];
  state: "clean" | "check" | "dirty" = "dirty";
  changedAt = 0;
  observers = 0;
  readonly release: () => void;
  readonly #graph: Graph;
  readonly #options: QueryOptions<A, V>;
  readonly #arg: A;
  #verifiedAt = 0;
  #checking = false;
  #outcome: Outcome<V> | undefined;

  constructor(graph: Graph, options: QueryOptions<A, V>, arg: A, key: string, release: () => void) {
    this.#graph = graph;
    this.#options = options;
    this.#arg = arg;
    this.label = `${options.name}(${key})`;
    this.release = () => {
      // Whoever still holds the node (an ended observation) gets a fresh computation.
      this.state = "dirty";
      release();
    };
  }

  /** The up-to-date value, or what the computation threw. */
  read(): V {
    this.refresh();
    const outcome = this.#outcome;
    if (outcome?.kind === "value") return outcome.value;
    throw outcome?.fault;
  }

  refresh(): void {
    // A circle that stands leads back here: it is as it was unless something else that is read changed.
    if (this.#checking) return;
    if (this.state === "check" && !this.#someDependencyChanged()) {
      this.#verified();
      return;
    }
    if (this.state !== "clean") this.#recompute();
  }

  /** In the order of reading: an earlier value may decide whether a later one is read at all. */
  #someDependencyChanged(): boolean {
    this.#checking = true;
    try {
      return this.dependencies.some((dependency) => {
        dependency.refresh();
        return dependency.changedAt > this.#verifiedAt;
      });
    } finally {
      this.#checking = false;
    }
  }

  #recompute(): void {
    const before = this.#outcome;
    const after = this.#compute();
    const same =
      before?.kind === "value" &&
      after.kind === "value" &&
      (this.#options.equal ?? equalValues)(before.value, after.value);
    // A value that recovered from a circle found this node's own fault in its place.
    this.#outcome = same ? before : after;
    if (!same) this.changedAt = this.#graph.revision;
    this.#verified();
  }

  #compute(): Outcome<V> {
    try {
      return {
        kind: "value",
        value: this.#graph.run(this, this.#options.name, () => this.#options.compute(this.#arg)),
      };
    } catch (fault) {
      return { kind: "fault", fault };
    }
  }

  #verified(): void {
    this.#verifiedAt = this.#graph.revision;
    this.state = "clean";
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
      node = new QueryNode(this.#graph, this.#options, arg, key, () => this.#memo.delete(key));
      this.#memo.set(key, node);
      this.#graph.unread(node);
    }
    return node;
  }

  /** How many results are held. */
  get size(): number {
    return this.#memo.size;
  }
}

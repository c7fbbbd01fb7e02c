import { equal } from "#base/canonical.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import type { Derived, Graph, Node } from "./node.ts";
import { Query, type QueryOptions } from "./query.ts";
import { Table } from "./table.ts";

/** A held value: `current` is up to date after every change, until disposed. */
export interface Observation<V> extends Disposable {
  /** Value after the last change; rethrows what `compute` threw. */
  readonly current: V;
}

/** How often each query was computed since the engine was made. */
export type Computations = ReadonlyMap<string, number>;

/** Calls each function; one that throws does not keep the others from being called. */
function failuresOf(callbacks: readonly (() => void)[]): unknown[] {
  const faults: unknown[] = [];
  for (const callback of callbacks) {
    try {
      callback();
    } catch (fault) {
      faults.push(fault);
    }
  }
  return faults;
}

/**
 * Tracked inputs and memoised queries. A change marks what may be stale (from the inputs down), then only observed
 * queries are brought up to date, each re-run only if something it read changed value; an equal result stops there.
 * Queries that nobody observes or reads are forgotten. Everything is synchronous.
 */
export class Engine implements Graph {
  #revision = 1;
  /** The revision that observers were last told of. */
  #settledAt = 1;
  #depth = 0;
  #settling = false;
  readonly #stack: { readonly node: Derived; readonly reads: Set<Node> }[] = [];
  readonly #touched = new Set<Node>();
  readonly #unread = new Set<Node>();
  readonly #callbacks = new Map<Node, readonly (() => void)[]>();
  readonly #settled = new Set<() => void>();
  readonly #computations = new Map<string, number>();

  /** The number of the current state of the inputs. */
  get revision(): number {
    return this.#revision;
  }

  get tracking(): boolean {
    return this.#stack.length > 0;
  }

  /** How often each query was computed, by name: what a change cost. */
  get computations(): Computations {
    return this.#computations;
  }

  /** Declares a table of inputs. */
  table<V>(name: string, same: (a: V, b: V) => boolean = equal): Table<V> {
    return new Table(name, this, same);
  }

  /** Declares a query. */
  query<A, V>(options: QueryOptions<A, V>): Query<A, V> {
    return new Query(this, options);
  }

  /** Declares a query over one string. */
  stringQuery<V>(name: string, compute: (arg: string) => V, same?: (a: V, b: V) => boolean): Query<string, V> {
    return this.query({ name, key: (arg) => arg, compute, ...(same && { equal: same }) });
  }

  /**
   * Keeps a query's value up to date and calls `onChange` after each change that gave it another value.
   * @param onChange runs after the whole change is in; it must not change inputs.
   */
  observe<A, V>(query: Query<A, V>, arg: A, onChange?: () => void): Observation<V> {
    const node = query.node(arg);
    node.observers += 1;
    // A wrapper, so that one function can observe twice.
    let disposed = false;
    const callback = (): void => {
      if (!disposed) onChange?.();
    };
    this.#callbacks.set(node, [...(this.#callbacks.get(node) ?? []), callback]);
    node.refresh();
    return {
      get current() {
        return node.read();
      },
      [Symbol.dispose]: () => {
        if (disposed) return;
        disposed = true;
        node.observers -= 1;
        const others = (this.#callbacks.get(node) ?? []).filter((other) => other !== callback);
        if (others.length > 0) this.#callbacks.set(node, others);
        else this.#callbacks.delete(node);
        this.#unread.add(node);
        if (this.#depth === 0) this.#collect();
      },
    };
  }

  /** Calls `callback` after each change, when every observer has been called. */
  onSettled(callback: () => void): Disposable {
    this.#settled.add(callback);
    return { [Symbol.dispose]: () => this.#settled.delete(callback) };
  }

  /** Makes several edits of inputs one change: observers see none or all of them. */
  change(edit: () => void): void {
    if (this.#stack.length > 0) throw new WeftError("Internal", "inputs cannot change while a query runs");
    if (this.#settling) throw new WeftError("Internal", "inputs cannot change while observers are called");
    if (this.#depth === 0) this.#settledAt = this.#revision;
    // Each edit is a revision of its own: a query may be read between two edits of one change.
    this.#revision += 1;
    this.#depth += 1;
    try {
      edit();
    } finally {
      this.#depth -= 1;
      if (this.#depth === 0) this.#settle();
    }
  }

  touch(node: Node): void {
    node.changedAt = this.#revision;
    for (const dependent of node.dependents) {
      if (dependent.state === "clean") this.#markCheck(dependent);
      dependent.state = "dirty";
    }
  }

  track(node: Node): void {
    const active = this.#stack.at(-1);
    if (active) active.reads.add(node);
  }

  unread(node: Node): void {
    this.#unread.add(node);
  }

  run<V>(node: Derived, name: string, compute: () => V): V {
    const at = this.#stack.findIndex((frame) => frame.node === node);
    if (at >= 0) {
      const path = [...this.#stack.slice(at).map((frame) => frame.node.label), node.label];
      throw new WeftError("Internal", `queries read each other in a circle: ${path.join(" -> ")}`);
    }
    this.#computations.set(name, (this.#computations.get(name) ?? 0) + 1);
    const frame = { node, reads: new Set<Node>() };
    this.#stack.push(frame);
    try {
      return compute();
    } finally {
      this.#stack.pop();
      this.#depend(node, frame.reads);
    }
  }

  #depend(node: Derived, reads: Set<Node>): void {
    for (const before of node.dependencies) {
      if (reads.has(before)) continue;
      before.dependents.delete(node);
      this.#unread.add(before);
    }
    for (const read of reads) read.dependents.add(node);
    node.dependencies = [...reads];
  }

  /** Marks what stands below a node as possibly stale; nodes that are marked already have been visited. */
  #markCheck(from: Derived): void {
    const pending = [from];
    for (let node = pending.pop(); node; node = pending.pop()) {
      if (node.state !== "clean") continue;
      node.state = "check";
      if (node.observers > 0) this.#touched.add(node);
      pending.push(...node.dependents);
    }
  }

  #settle(): void {
    const touched = [...this.#touched];
    this.#touched.clear();
    for (const node of touched) node.refresh();
    const changed = touched.filter((node) => node.changedAt > this.#settledAt);
    const callbacks = changed.flatMap((node) => this.#callbacks.get(node) ?? []);
    this.#settling = true;
    const faults = failuresOf([...callbacks, ...this.#settled]);
    this.#settling = false;
    this.#collect();
    if (faults.length > 0) {
      throw new WeftError("Internal", `an observer failed: ${faults.map(messageOf).join("; ")}`, faults[0]);
    }
  }

  /** Forgets nodes without readers and observers, and then what only they had read. */
  #collect(): void {
    for (const node of this.#unread) {
      this.#unread.delete(node);
      if (node.observers > 0 || node.dependents.size > 0) continue;
      for (const dependency of (node as Partial<Derived>).dependencies ?? []) {
        dependency.dependents.delete(node as Derived);
        this.#unread.add(dependency);
      }
      node.release();
    }
  }
}

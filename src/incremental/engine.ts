import { equal } from "#base/canonical.ts";
import { WeftError, messageOf } from "#base/errors.ts";
import { Agenda } from "./agenda.ts";
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
 * Tracked inputs and memoised queries. A change runs the queries that read it again, lowest first, and then those that
 * read a query which came out otherwise: each at most once, and what stands behind an equal result is not even looked
 * at. Queries that nobody observes or reads are forgotten. Everything is synchronous.
 */
export class Engine implements Graph {
  #revision = 1;
  #depth = 0;
  #settling = false;
  readonly #stack: { readonly node: Derived; readonly reads: Set<Node> }[] = [];
  readonly #agenda = new Agenda();
  /** Observed nodes that changed in this change. */
  readonly #touched = new Set<Node>();
  readonly #unread = new Set<Node>();
  readonly #callbacks = new Map<Node, readonly (() => void)[]>();
  readonly #settled = new Set<() => void>();
  readonly #computations = new Map<string, number>();
  #visits = 0;

  /** The number of the current state of the inputs. */
  get revision(): number {
    return this.#revision;
  }

  get floor(): number {
    return this.#agenda.floor;
  }

  get tracking(): boolean {
    return this.#stack.length > 0;
  }

  /** How often each query was computed, by name: what a change cost. */
  get computations(): Computations {
    return this.#computations;
  }

  /** How often a query was looked at since the engine was made, to see whether it must be computed. */
  get visits(): number {
    return this.#visits;
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
    node.refresh();
    node.observers += 1;
    // A wrapper, so that one function can observe twice.
    let disposed = false;
    const callback = (): void => {
      if (!disposed) onChange?.();
    };
    this.#callbacks.set(node, [...(this.#callbacks.get(node) ?? []), callback]);
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

  changed(node: Node): void {
    if (node.observers > 0) this.#touched.add(node);
    for (const dependent of node.dependents) {
      // Whoever ran since the inputs changed has read this value, or stands in a circle with it.
      if (dependent.stale || dependent.ranAt === this.#revision) continue;
      dependent.stale = true;
      this.#agenda.add(dependent);
    }
  }

  visited(): void {
    this.#visits += 1;
  }

  track(node: Node): void {
    const active = this.#stack.at(-1);
    if (active) active.reads.add(node);
    else if (node.observers === 0 && node.dependents.size === 0) this.#unread.add(node);
  }

  circle(node: Derived): Error {
    const at = this.#stack.findIndex((frame) => frame.node === node);
    // One that is looked at stands above all that run for that.
    const path = [...this.#stack.slice(Math.max(at, 0)).map((frame) => frame.node.label), node.label];
    return new WeftError("Internal", `queries read each other in a circle: ${path.join(" -> ")}`);
  }

  run<V>(node: Derived, name: string, compute: () => V): V {
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
    let height = 0;
    for (const read of reads) {
      read.dependents.add(node);
      height = Math.max(height, read.busy ? Infinity : read.height + 1);
    }
    node.dependencies = [...reads];
    const rose = height > node.height;
    node.height = height;
    if (rose) this.#lift(node);
  }

  /** Keeps whoever reads a node higher than it. */
  #lift(from: Derived): void {
    const pending = [from];
    for (let node = pending.pop(); node; node = pending.pop()) {
      for (const dependent of node.dependents) {
        if (dependent.height > node.height || dependent.height === Infinity) continue;
        dependent.height = node.height + 1;
        pending.push(dependent);
      }
    }
  }

  /** Brings up to date what is observed, and what that reads. */
  #propagate(): void {
    this.#collect();
    for (let node = this.#agenda.next(); node; node = this.#agenda.next()) {
      if (node.observers > 0 || node.dependents.size > 0) node.refresh();
    }
  }

  #settle(): void {
    this.#propagate();
    const callbacks = [...this.#touched].flatMap((node) => this.#callbacks.get(node) ?? []);
    this.#touched.clear();
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

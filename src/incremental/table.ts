import type { Derived, Graph, Node } from "./node.ts";

/** An input as a node: it is always up to date, and its value lives in the table. */
class InputNode implements Node {
  readonly height = 0;
  readonly busy = false;
  readonly dependents = new Set<Derived>();
  observers = 0;
  readonly #nodes: Nodes;
  readonly #key: string;

  constructor(nodes: Nodes, key: string) {
    this.#nodes = nodes;
    this.#key = key;
  }

  get label(): string {
    return `${this.#nodes.label}(${this.#key})`;
  }

  refresh(): void {
    // An input has nothing to bring up to date.
  }

  release(): void {
    this.#nodes.forget(this.#key);
  }
}

/** Nodes by key, made on first read and forgotten when nobody reads them. */
class Nodes {
  readonly label: string;
  readonly #nodes = new Map<string, InputNode>();
  readonly #graph: Graph;

  constructor(label: string, graph: Graph) {
    this.label = label;
    this.#graph = graph;
  }

  forget(key: string): void {
    this.#nodes.delete(key);
  }

  track(key: string): void {
    if (!this.#graph.tracking) return;
    let node = this.#nodes.get(key);
    if (!node) {
      node = new InputNode(this, key);
      this.#nodes.set(key, node);
    }
    this.#graph.track(node);
  }

  touch(key: string): void {
    const node = this.#nodes.get(key);
    if (node) this.#graph.changed(node);
  }
}

/** A second way into a table: the keys of the rows that a function of the row names. */
export interface Index<V> {
  /** Keys of the rows under `name`, sorted. Depends on which rows stand there, not on their values. */
  keys(name: string): readonly string[];
  /** The rows under `name`, by sorted key. */
  rows(name: string): readonly V[];
  /** Every name that has rows, sorted. */
  names(): readonly string[];
}

const everything = "";

class TableIndex<V> implements Index<V> {
  readonly #buckets = new Map<string, Set<string>>();
  readonly #sorted = new Map<string, readonly string[]>();
  readonly #nodes: Nodes;
  readonly #allNodes: Nodes;
  readonly #table: Table<V>;
  readonly #namesOf: (row: V, key: string) => readonly string[];

  constructor(label: string, graph: Graph, table: Table<V>, namesOf: (row: V, key: string) => readonly string[]) {
    this.#nodes = new Nodes(label, graph);
    this.#allNodes = new Nodes(`${label}-names`, graph);
    this.#table = table;
    this.#namesOf = namesOf;
  }

  keys(name: string): readonly string[] {
    this.#nodes.track(name);
    let sorted = this.#sorted.get(name);
    if (!sorted) {
      sorted = [...(this.#buckets.get(name) ?? [])].toSorted();
      if (sorted.length > 0) this.#sorted.set(name, sorted);
    }
    return sorted;
  }

  rows(name: string): readonly V[] {
    return this.keys(name).map((key) => this.#table.get(key) as V);
  }

  names(): readonly string[] {
    this.#allNodes.track(everything);
    return [...this.#buckets.keys()].toSorted();
  }

  /** Moves a row from the names it had to the names it has. */
  moved(key: string, before: V | undefined, after: V | undefined): void {
    const from = new Set(before === undefined ? [] : this.#namesOf(before, key));
    const to = new Set(after === undefined ? [] : this.#namesOf(after, key));
    for (const name of from) if (!to.has(name)) this.#remove(name, key);
    for (const name of to) if (!from.has(name)) this.#add(name, key);
  }

  #add(name: string, key: string): void {
    const bucket = this.#buckets.get(name);
    if (bucket) bucket.add(key);
    else {
      this.#buckets.set(name, new Set([key]));
      this.#allNodes.touch(everything);
    }
    this.#bucketChanged(name);
  }

  #remove(name: string, key: string): void {
    const bucket = this.#buckets.get(name);
    bucket?.delete(key);
    if (bucket?.size === 0) {
      this.#buckets.delete(name);
      this.#allNodes.touch(everything);
    }
    this.#bucketChanged(name);
  }

  #bucketChanged(name: string): void {
    this.#sorted.delete(name);
    this.#nodes.touch(name);
  }
}

/** Inputs by key. Reads are tracked one row at a time, reads of rows that are not there included. */
export class Table<V> {
  readonly name: string;
  readonly #graph: Graph;
  readonly #equal: (a: V, b: V) => boolean;
  readonly #rows = new Map<string, V>();
  readonly #nodes: Nodes;
  readonly #indexes: TableIndex<V>[] = [];
  readonly #all: TableIndex<V>;

  constructor(name: string, graph: Graph, equal: (a: V, b: V) => boolean) {
    this.name = name;
    this.#graph = graph;
    this.#equal = equal;
    this.#nodes = new Nodes(name, graph);
    this.#all = this.#addIndex("keys", () => [everything]);
  }

  /** The row, or undefined. */
  get(key: string): V | undefined {
    this.#nodes.track(key);
    return this.#rows.get(key);
  }

  /** Every key, sorted. Depends on which rows there are, not on their values. */
  keys(): readonly string[] {
    return this.#all.keys(everything);
  }

  /** Every row, by sorted key. */
  rows(): readonly V[] {
    return this.#all.rows(everything);
  }

  /** Declares an index; it must be declared before the first row is set. */
  index(name: string, namesOf: (row: V, key: string) => readonly string[]): Index<V> {
    return this.#addIndex(name, namesOf);
  }

  /** Sets a row; an equal one changes nothing. */
  set(key: string, row: V): void {
    const before = this.#rows.get(key);
    if (before !== undefined && this.#equal(before, row)) return;
    this.#edit(key, before, row);
  }

  /** Removes a row, if it is there. */
  delete(key: string): void {
    const before = this.#rows.get(key);
    if (before !== undefined) this.#edit(key, before, undefined);
  }

  #edit(key: string, before: V | undefined, after: V | undefined): void {
    this.#graph.change(() => {
      if (after === undefined) this.#rows.delete(key);
      else this.#rows.set(key, after);
      this.#nodes.touch(key);
      for (const index of this.#indexes) index.moved(key, before, after);
    });
  }

  #addIndex(name: string, namesOf: (row: V, key: string) => readonly string[]): TableIndex<V> {
    const index = new TableIndex(`${this.name}.${name}`, this.#graph, this, namesOf);
    for (const [key, row] of this.#rows) index.moved(key, undefined, row);
    this.#indexes.push(index);
    return index;
  }
}

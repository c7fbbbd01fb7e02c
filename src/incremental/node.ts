/**
 * A point of the dependency graph: an input or a memoised query. `clean` is up to date; `check` may be stale because
 * something further up changed; `dirty` reads something that did change.
 */
export interface Node {
  readonly label: string;
  state: "clean" | "check" | "dirty";
  /** Revision in which the value last became a different one. */
  changedAt: number;
  /** Who read this node in their last run. */
  readonly dependents: Set<Derived>;
  /** How many observers hold it alive. */
  observers: number;
  /** Brings the node up to date. */
  refresh(): void;
  /** Nobody reads the node any more: let go of what it holds. */
  release(): void;
}

/** A node that was computed from others. */
export interface Derived extends Node {
  /** What it read in its last run, in order. */
  dependencies: readonly Node[];
}

/** What tables and queries need of the engine that they belong to. */
export interface Graph {
  /** The number of the current state of the inputs. */
  readonly revision: number;
  /** Whether a query runs now, so that reads are recorded. */
  readonly tracking: boolean;
  /** Records that the query that runs now (if any) read this node. */
  track(node: Node): void;
  /** Marks an input as changed; only inside `change`. */
  touch(node: Node): void;
  /** Says that nobody may be reading this node any more. */
  unread(node: Node): void;
  /** Runs a query's function with its reads recorded. */
  run<V>(node: Derived, name: string, compute: () => V): V;
  /** Makes several edits one change. */
  change(edit: () => void): void;
}

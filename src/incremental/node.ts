/** A point of the dependency graph: an input or a memoised query. */
export interface Node {
  /** Names it in messages. */
  readonly label: string;
  /** How many queries stand below it on the longest way from an input; infinite in a circle and above one. */
  readonly height: number;
  /** Who read this node in their last run. */
  readonly dependents: Set<Derived>;
  /** How many observers hold it alive. */
  observers: number;
  /** Whether it is being brought up to date: whoever reads it for that stands in a circle with it. */
  readonly busy: boolean;
  /** Brings the node up to date. */
  refresh(): void;
  /** Nobody reads the node any more: let go of what it holds. */
  release(): void;
}

/** A node that was computed from others. */
export interface Derived extends Node {
  height: number;
  /** What it read in its last run, in order. */
  dependencies: readonly Node[];
  /** Whether something that it read has changed. */
  stale: boolean;
  /** Revision in which it was last computed. */
  readonly ranAt: number;
}

/** What tables and queries need of the engine that they belong to. */
export interface Graph {
  /** The number of the current state of the inputs. */
  readonly revision: number;
  /** Every query below this height is up to date. */
  readonly floor: number;
  /** Whether a query runs now, so that reads are recorded. */
  readonly tracking: boolean;
  /** Records that the query that runs now read this node, or else that somebody did who may not read it again. */
  track(node: Node): void;
  /** The node has another value. */
  changed(node: Node): void;
  /** A query is looked at, to see whether what it read changed. */
  visited(): void;
  /** Runs a query's function with its reads recorded. */
  run<V>(node: Derived, name: string, compute: () => V): V;
  /** What a query throws that is read while it is busy. */
  circle(node: Derived): Error;
  /** Makes several edits one change. */
  change(edit: () => void): void;
}

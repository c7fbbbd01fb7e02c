import type { EncodedResource } from "#proto/encoded.ts";
import type { NameSet } from "./names.ts";

/** What a proxy asks of a type: everything, some names, or both. */
export interface Subscription {
  readonly wildcard: boolean;
  readonly names: NameSet;
}

/** A resource as it was. Its bytes are kept only where a state-of-the-world set may have to hold it once more. */
export interface Past {
  readonly version: string;
  readonly resource: EncodedResource | undefined;
}

/** Resources as proxies see them, with what changed lately. */
export interface Shown {
  /** Tells it from every other. */
  readonly key: string;
  /** Revision in which what is seen last changed. */
  readonly revision: number;
  /** Positions before this revision can no longer be told from now. */
  readonly floor: number;
  /** What the proxies asked for. */
  readonly subscription: Subscription;
  /** Where the resources come from, each the same object for all that show it. */
  readonly scopes: readonly object[];
  /** Whether the proxies asked for this name. */
  asksFor(name: string): boolean;
  /** The resource as these proxies see it. */
  get(name: string): EncodedResource | undefined;
  /** Every resource seen. */
  resources(): Iterable<EncodedResource>;
  /** What was there before, for each name that changed after a revision. */
  changedSince(revision: number): ReadonlyMap<string, Past | undefined>;
}

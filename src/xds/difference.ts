import { anyCluster, type EncodedResource } from "#proto/encoded.ts";
import { At, Keeping, type Base } from "./base.ts";
import type { NameSet, NameSets } from "./names.ts";
import type { Refusals } from "./refusal.ts";
import type { Past, Shown } from "./shown.ts";

/** What must be sent to bring a client from what it holds to what its view shows. Shared by all clients at that point. */
export interface Difference {
  /** Resources that are new or other, or that must be sent again. */
  readonly upserts: readonly EncodedResource[];
  /** What the client held of the upserts and the removed, by name. */
  readonly past: ReadonlyMap<string, Past>;
  /** Other names that the client holds and that are no more. */
  readonly removed: NameSet;
  /** Names that do not exist though the client asked for them just now, or waits for them. */
  readonly unknown: readonly string[];
  /** Names of other resources that Envoy will wait for, because of the upserts. */
  readonly awaits: NameSet;
  /** Those of them that belong to upserts which the client did not have, and does not use before. */
  readonly warms: NameSet;
  /** Names of the upserts, the removed and the unknown. */
  readonly names: NameSet;
}

/** Names that one of two asks for and the other does not, where both show the same for a name; undefined where they may not. */
function askedByOne(before: Shown, now: Shown, sets: NameSets): readonly string[] | undefined {
  if (before === now) return [];
  const [from, to] = [before.subscription, now.subscription];
  if (from.wildcard || to.wildcard || before.scopes.length !== now.scopes.length) return undefined;
  if (before.scopes.some((scope, at) => scope !== now.scopes[at])) return undefined;
  return [...sets.minus(to.names, from.names), ...sets.minus(from.names, to.names)];
}

function candidates(base: Base, view: Shown, forced: NameSet, sets: NameSets): Iterable<string> {
  const names = new Set<string>();
  const held = base instanceof Keeping ? base.base : base;
  const asked = held instanceof At ? askedByOne(held.shown, view, sets) : undefined;
  if (held instanceof At && asked) {
    for (const name of [...held.changes().keys(), ...asked]) names.add(name);
  } else {
    for (const resource of view.resources()) names.add(resource.name);
    for (const name of base.names()) names.add(name);
  }
  for (const name of forced) names.add(name);
  return names;
}

/**
 * Works out a difference.
 * @param forced names that go out whether they changed or not: those newly asked for, or that Envoy waits for.
 * @param lasting whether the client keeps what is no more.
 */
export function differenceOf(
  base: Base,
  view: Shown,
  forced: NameSet,
  sets: NameSets,
  lasting: boolean = false,
): Difference {
  const upserts: EncodedResource[] = [];
  const past = new Map<string, Past>();
  const removed: string[] = [];
  const unknown: string[] = [];
  for (const name of candidates(base, view, forced, sets)) {
    const resource = view.get(name);
    const held = base.held(name);
    if (resource && (held?.version !== resource.version || forced.has(name))) {
      upserts.push(resource);
    } else if (!resource && !lasting && view.asksFor(name)) {
      // Who asked, or waits, is told at once; to be taken away can wait for its turn.
      if (forced.has(name)) unknown.push(name);
      else if (held) removed.push(name);
    }
    if (held) past.set(name, held);
  }
  return finished({ upserts, past, removed: sets.of(removed), unknown }, sets);
}

/**
 * The same difference for a client that refuses some resources: without those, and with what it holds in their stead.
 * @param tried refused resources that go out all the same.
 * @param whole whether the type is asked for as a whole, so that what is taken away must be named.
 */
export function withoutRefused(
  difference: Difference,
  refusals: Refusals,
  tried: ReadonlySet<string>,
  whole: boolean,
  sets: NameSets,
): Difference {
  const upserts = difference.upserts.filter((resource) => tried.has(resource.name) || !refusals.against(resource));
  const past = new Map<string, Past>();
  const never: string[] = [];
  for (const [name, sent] of difference.past) {
    const taken = refusals.takenOf(name, sent);
    if (taken) past.set(name, taken);
    // What was never taken cannot be taken away; but the client may still wait for it.
    if (difference.removed.has(name) && refusals.neverTaken(name, sent, whole)) never.push(name);
  }
  const unknown = [...difference.unknown, ...never];
  return finished({ upserts, past, removed: sets.minus(difference.removed, never), unknown }, sets);
}

function finished(parts: Omit<Difference, "awaits" | "warms" | "names">, sets: NameSets): Difference {
  const { upserts, past, removed, unknown } = parts;
  const awaits = sets.of(upserts.flatMap((resource) => resource.awaits));
  const warms = sets.of(upserts.flatMap((resource) => (past.has(resource.name) ? [] : resource.awaits)));
  const names = sets.of([...upserts.map((resource) => resource.name), ...removed, ...unknown]);
  return { ...parts, awaits, warms, names };
}

/** A difference less the upserts that wait for some names, and these. */
export interface Split {
  readonly difference: Difference;
  /** Names of what was left out. */
  readonly late: NameSet;
}

/** Leaves out what waits for some names, or for any. */
export function withoutLate(difference: Difference, missing: NameSet, sets: NameSets): Split {
  const isLate = ({ awaits }: EncodedResource): boolean =>
    awaits.some((name) => name === anyCluster || missing.has(name));
  const late = difference.upserts.filter(isLate).map(({ name }) => name);
  if (late.length === 0) return { difference, late: sets.empty };
  const { past, removed, unknown } = difference;
  const upserts = difference.upserts.filter((resource) => !isLate(resource));
  return { difference: finished({ upserts, past, removed, unknown }, sets), late: sets.of(late) };
}

/** A difference that also takes away what was removed earlier. */
export function withGone(difference: Difference, gone: NameSet, sets: NameSets): Difference {
  if (gone.size === 0) return difference;
  const { upserts, past, removed, unknown, awaits, warms, names } = difference;
  return { upserts, past, removed: sets.plus(removed, gone), unknown, awaits, warms, names: sets.plus(names, gone) };
}

/** A difference after which the client waits for other names. */
export function waitingFor(difference: Difference, awaits: NameSet): Difference {
  const { upserts, past, removed, unknown, warms, names } = difference;
  return { upserts, past, removed, unknown, warms, names, awaits };
}

/** The difference of a part, with a key that tells it from every other. */
export interface DifferingPart {
  readonly key: string;
  readonly difference: Difference;
}

/** The differences of the parts of a view as one; put together once, as far as it is asked for. */
export class MergedDifference implements Difference {
  readonly parts: readonly DifferingPart[];
  readonly #sets: NameSets;
  #upserts: readonly EncodedResource[] | undefined;
  #past: ReadonlyMap<string, Past> | undefined;
  #removed: NameSet | undefined;
  #unknown: readonly string[] | undefined;
  #awaits: NameSet | undefined;
  #warms: NameSet | undefined;
  #names: NameSet | undefined;

  constructor(parts: readonly DifferingPart[], sets: NameSets) {
    this.parts = parts;
    this.#sets = sets;
  }

  get upserts(): readonly EncodedResource[] {
    this.#upserts ??= this.parts.flatMap(({ difference }) => difference.upserts);
    return this.#upserts;
  }

  get past(): ReadonlyMap<string, Past> {
    this.#past ??= new Map(this.parts.flatMap(({ difference }) => [...difference.past]));
    return this.#past;
  }

  get removed(): NameSet {
    this.#removed ??= this.#union((part) => part.removed);
    return this.#removed;
  }

  get unknown(): readonly string[] {
    this.#unknown ??= this.parts.flatMap(({ difference }) => difference.unknown);
    return this.#unknown;
  }

  get awaits(): NameSet {
    this.#awaits ??= this.#union((part) => part.awaits);
    return this.#awaits;
  }

  get warms(): NameSet {
    this.#warms ??= this.#union((part) => part.warms);
    return this.#warms;
  }

  get names(): NameSet {
    this.#names ??= this.#union((part) => part.names);
    return this.#names;
  }

  #union(of: (part: Difference) => NameSet): NameSet {
    let union = this.#sets.empty;
    for (const part of this.parts) union = this.#sets.plus(union, of(part.difference));
    return union;
  }
}

import type { EncodedResource } from "#proto/encoded.ts";
import { At, nothing, type Base, type Kept } from "./base.ts";
import {
  MergedDifference,
  differenceOf,
  type DifferingPart,
  waitingFor,
  withGone,
  withoutLate,
  withoutRefused,
  type Difference,
  type Split,
} from "./difference.ts";
import { type TypeUrl, typeUrls } from "#proto/encoded.ts";
import { answeringHost, placeholderName } from "#proto/placeholder-host.ts";
import { EncodedMemory } from "./memory.ts";
import { deltaFragment, emptyResource, sotwFragment, type Encoder, type Message, type Variant } from "./message.ts";
import type { NameSet, NameSets } from "./names.ts";
import type { Part } from "./part.ts";
import type { Refusals } from "./refusal.ts";
import { Points } from "./points.ts";
import type { ScopeStore } from "./store.ts";
import { isLasting, isWholeType } from "./subscription.ts";
import { mayHide, type View } from "./view.ts";

/** Where a client stands, and what it may be sent. */
export interface Standing {
  readonly view: View;
  readonly base: Base;
  /** Names that go out even if unchanged. */
  readonly forced: NameSet;
  /** Resources that the client must keep for now though the view lacks them. */
  readonly kept: Kept;
  /** Serial of the message that the stream got last. */
  readonly after: number;
  /** Whether resources that are removed now may go now. */
  readonly removals: boolean;
  /** Names that were removed earlier and go now. */
  readonly gone: NameSet;
  /** Whether an answer is due even if there is nothing to say. */
  readonly mustAnswer: boolean;
  readonly refusals: Refusals;
  /** Refused names that are tried once more. */
  readonly tried: ReadonlySet<string>;
  /** What the client lacks: what names it goes out later. */
  readonly missing: NameSet;
}

/** What goes out next for a type. */
export interface Push {
  readonly message: Message;
  /** What is news in it. */
  readonly difference: Difference;
}

/** What a client gets; without a message where there is nothing to say. */
export interface News {
  readonly message: Message | undefined;
  readonly difference: Difference;
  /** Names that are to go out later. */
  readonly late: NameSet;
  /** Names that the client keeps for now though they are removed. */
  readonly left: NameSet;
}

/** Differences remembered for each part until it changes. */
const mostDifferences = 64;

/** Makes what goes out, once for all clients that stand at the same point. */
export class Pushes {
  readonly store: ScopeStore;
  readonly encoder: Encoder;
  readonly #messages: EncodedMemory<Message>;
  readonly #fragments: EncodedMemory<Uint8Array>;
  readonly #points: Points;
  /** What is left of differences without what some names are missing for, by these. */
  readonly #splits = new WeakMap<Difference, Map<NameSet, Split>>();

  /** @param rememberedBytes what is encoded is remembered up to about so many bytes. */
  constructor(store: ScopeStore, encoder: Encoder, rememberedBytes: number) {
    this.store = store;
    this.encoder = encoder;
    this.#points = new Points(store);
    this.#messages = new EncodedMemory(rememberedBytes / 2);
    this.#fragments = new EncodedMemory(rememberedBytes / 2);
  }

  get sets(): NameSets {
    return this.store.sets;
  }

  /** Brings a client up to its view. */
  news(variant: Variant, standing: Standing): News {
    const workOut = (): News => this.#news(variant, standing);
    return variant === "delta" ? this.#points.news(standing, workOut) : workOut();
  }

  #news(variant: Variant, standing: Standing): News {
    const { view, refusals, tried } = standing;
    // What is split, is so for all of a view at once.
    const parts = standing.missing.size === 0 ? this.#byParts(standing) : undefined;
    const all = parts ?? this.#difference(view.type, view, standing.base, standing.forced);
    const isWhole = isWholeType(view.type);
    const taken = refusals.size > 0 ? withoutRefused(all, refusals, tried, isWhole, this.sets) : all;
    const { difference, late } = this.#split(taken, standing.missing);
    const left = standing.removals ? this.sets.empty : difference.removed;
    if (!standing.mustAnswer && !this.#speaks(variant, standing, difference)) {
      return { message: undefined, difference, late, left };
    }
    if (variant === "sotw" && isWhole) return { ...this.#whole(standing, difference), late, left };
    const message = this.#changes(variant, standing, difference, late);
    return { message, difference: withGone(difference, standing.gone, this.sets), late, left };
  }

  /** What may go out now, and what is for later: once for all clients at one point that lack the same. */
  #split(difference: Difference, missing: NameSet): Split {
    if (missing.size === 0) return { difference, late: this.sets.empty };
    const splits = this.#splits.get(difference) ?? new Map<NameSet, Split>();
    let split = splits.get(missing);
    if (!split) {
      split = withoutLate(difference, missing, this.sets);
      this.#splits.set(difference, splits.set(missing, split));
    }
    return split;
  }

  /** Names of what a client lacks of a view and never had. */
  lacking(view: View, base: Base): NameSet {
    if (base instanceof At && base.shown === view) {
      const { revision } = base;
      const grown = view.parts.filter((part) => part.grownAt > revision);
      return grown.reduce((all, part) => this.sets.plus(all, part.added(this.sets, revision)), this.sets.empty);
    }
    const { upserts, past } = this.#difference(view.type, view, base, this.sets.empty);
    return this.sets.of(upserts.flatMap(({ name }) => (past.has(name) ? [] : [name])));
  }

  /** Takes away names that the client was left with. Only of the delta variant. */
  cleanup(view: View, gone: NameSet, after: number): Message {
    const key = `cleanup ${view.type} ${gone.id} ${view.revision}`;
    return this.#message(key, after, view, () => [deltaFragment([], gone)]);
  }

  #speaks(variant: Variant, { view, removals, ...standing }: Standing, difference: Difference): boolean {
    if (difference.upserts.length + standing.gone.size > 0) return true;
    const gone = removals && difference.removed.size > 0;
    if (variant === "delta") return gone || difference.unknown.length > 0;
    return isWholeType(view.type) ? gone : difference.unknown.length > 0;
  }

  /**
   * The differences of a view's parts, which other views share; unless a name went from one part to another, or one part's
   * resource may hide another's.
   */
  #byParts({ view, base, forced }: Standing): MergedDifference | undefined {
    const at = base instanceof At && base.shown === view ? base : undefined;
    if (view.parts.length < 2 || forced.size > 0 || !(at || (base === nothing && !mayHide(view)))) return undefined;
    // Most parts did not change: of these there is nothing to say.
    const changed = at ? view.parts.filter((part) => part.revision > at.revision) : view.parts;
    const parts = changed.map((part) => {
      const from = at ? new At(part, part.positionAt(at.revision)) : nothing;
      const difference = this.#difference(view.type, part, from, forced);
      return { key: `${part.key} ${part.revision} ${from.key}`, difference };
    });
    const crossing = removedTwice(parts) || parts.some(({ difference }) => crosses(view, difference));
    return crossing ? undefined : new MergedDifference(parts, this.sets);
  }

  #difference(type: TypeUrl, shown: Part | View, base: Base, forced: NameSet): Difference {
    // What is one proxy's own is worked out once anyway.
    if (!shown.shared) return differenceOf(base, shown, forced, this.sets, isLasting(type));
    const { differences } = shown;
    const key = `${base.key} ${forced.id}`;
    let difference = differences.get(key);
    if (!difference) {
      difference = differenceOf(base, shown, forced, this.sets, isLasting(type));
      if (differences.size >= mostDifferences) differences.clear();
      differences.set(key, difference);
    }
    return difference;
  }

  /** Only what changed. What one part alone has to say is one message for all views of the part. */
  #changes(variant: Variant, standing: Standing, difference: Difference, late: NameSet): Message {
    const { view, base, forced, removals, after, refusals, gone } = standing;
    const earlier = gone.size > 0 ? [deltaFragment([], gone)] : [];
    if (refusals.size > 0)
      return this.encoder.encode(view.type, [fragment(variant, view, difference, removals)], view.revision);
    if (!(difference instanceof MergedDifference)) {
      const key = `${variant} ${view.key} ${view.revision} ${base.key} ${forced.id} ${removals} ${late.id} ${gone.id}`;
      return this.#message(key, after, view, () => [fragment(variant, view, difference, removals), ...earlier]);
    }
    const told = difference.parts.filter((part) => speaks(part.difference, removals));
    const bytes = ({ key, difference: own }: DifferingPart): Uint8Array =>
      this.#fragment(`${variant} ${key} ${removals}`, () => fragment(variant, view, own, removals));
    // What several parts say together is remembered only where more than one proxy has these parts.
    const fragments = (): readonly Uint8Array[] => [...told.map(bytes), ...earlier];
    if (told.length > 1 && !view.shared) return this.encoder.encode(view.type, fragments(), view.revision);
    const key = told.length > 0 ? told.map((part) => part.key).join("; ") : `${view.key} ${view.revision}`;
    return this.#message(`${variant} ${key} ${removals} ${gone.id}`, after, view, fragments);
  }

  /** Everything, as the state-of-the-world variant wants it of types that are asked for as a whole. */
  #whole(standing: Standing, difference: Difference): Omit<News, "late" | "left"> {
    const { view, after, refusals, removals } = standing;
    const kept = new Map(standing.kept);
    if (!removals) for (const name of difference.removed) kept.set(name, difference.past.get(name));
    for (const name of kept.keys()) if (view.get(name)) kept.delete(name);
    if (kept.size === 0 && refusals.size === 0) {
      const key = `whole ${view.key} ${view.revision}`;
      const message = this.#message(key, after, view, () => [sotwFragment(view.resources())]);
      return { message, difference };
    }
    const { current, instead } = taken(standing);
    const left = [...kept.values()].flatMap((past) => past?.resource ?? []);
    const message = this.encoder.encode(view.type, [sotwFragment([...current, ...instead, ...left])], view.revision);
    // What stands in for a refused resource may be news, too: it is not certain which version the client serves.
    const awaits = this.sets.plus(difference.awaits, new Set(instead.flatMap((resource) => resource.awaits)));
    return { message, difference: waitingFor(difference, awaits) };
  }

  /** A message remembered, or encoded anew where the stream already got this one or a later one. */
  #message(key: string, after: number, view: View, fragments: () => readonly Uint8Array[]): Message {
    const known = this.#messages.get(key);
    if (known && known.serial > after) return known;
    const message = this.encoder.encode(view.type, fragments(), view.revision);
    this.#messages.set(key, message);
    return message;
  }

  #fragment(key: string, make: () => Uint8Array): Uint8Array {
    const known = this.#fragments.get(key);
    if (known) return known;
    const bytes = make();
    this.#fragments.set(key, bytes);
    return bytes;
  }
}

/** Whether some of what is new in one part of a view hides another part's, or is hidden by it. */
function hides(view: View, { upserts }: Difference): boolean {
  return mayHide(view) && upserts.some(({ name }) => view.parts.filter((part) => part.get(name)).length > 1);
}

/** Whether two parts that had a resource of one name have lost it: Envoy refuses what names it twice. */
function removedTwice(parts: readonly DifferingPart[]): boolean {
  const names = parts.flatMap(({ difference }) => [...difference.removed]);
  return new Set(names).size < names.length;
}

/** Whether what a part says is not all that there is to say of its names. */
function crosses(view: View, difference: Difference): boolean {
  for (const name of difference.removed) if (view.get(name)) return true;
  return hides(view, difference);
}

function speaks({ upserts, removed }: Difference, removals: boolean): boolean {
  return upserts.length > 0 || (removals && removed.size > 0);
}

function fragment(variant: Variant, view: View, difference: Difference, removals: boolean): Uint8Array {
  const { upserts, unknown } = difference;
  const removed = removals ? difference.removed : [];
  if (variant === "delta") {
    const { resources, gone } = answered(view, upserts, unknown);
    return deltaFragment(resources, [...removed, ...gone]);
  }
  return sotwFragment([...upserts, ...unknown.flatMap((name) => emptyResource(view.type, name) ?? [])]);
}

/**
 * What tells a client that names stand for no resources of theirs. One that asked for virtual hosts waits until an alias says
 * so: it then looks whether another has their requests.
 */
function answered(view: View, upserts: readonly EncodedResource[], unknown: readonly string[]) {
  const byHolder = Map.groupBy(unknown, (name) =>
    view.type === typeUrls.virtualHost ? placeholderName(name.slice(0, name.indexOf("/"))) : "",
  );
  const answers = new Map<string, EncodedResource>();
  const gone: string[] = [];
  for (const [holder, names] of byHolder) {
    const host = holder === "" ? undefined : view.get(holder);
    if (host) answers.set(holder, answeringHost(host, names));
    else gone.push(...names);
  }
  return { resources: [...upserts.filter(({ name }) => !answers.has(name)), ...answers.values()], gone };
}

/** What a client that refuses some resources gets of a view: the others, and what it took last instead of those. */
function taken({ view, refusals, tried }: Standing): Record<"current" | "instead", readonly EncodedResource[]> {
  const current: EncodedResource[] = [];
  const instead: EncodedResource[] = [];
  for (const resource of view.resources()) {
    const refusal = tried.has(resource.name) ? undefined : refusals.against(resource);
    if (!refusal) current.push(resource);
    else if (refusal.lastGood?.resource) instead.push(refusal.lastGood.resource);
  }
  return { current, instead };
}

import type { EncodedResource } from "#proto/encoded.ts";
import { At, nothing, type Base, type Kept } from "./base.ts";
import { MergedDifference, differenceOf, waitingFor, withoutRefused, type Difference } from "./difference.ts";
import { EncodedMemory } from "./memory.ts";
import { deltaFragment, emptyResource, sotwFragment, type Encoder, type Message, type Variant } from "./message.ts";
import type { NameSet, NameSets } from "./names.ts";
import type { Part } from "./part.ts";
import type { Refusals } from "./refusal.ts";
import type { ScopeStore } from "./store.ts";
import { isWholeType } from "./subscription.ts";
import type { View } from "./view.ts";

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
  /** Whether removed resources may go now. */
  readonly removals: boolean;
  /** Whether an answer is due even if there is nothing to say. */
  readonly mustAnswer: boolean;
  readonly refusals: Refusals;
  /** Refused names that are tried once more. */
  readonly tried: ReadonlySet<string>;
}

/** What a client gets; without a message where there is nothing to say. */
export interface News {
  readonly message: Message | undefined;
  /** What is news in it. */
  readonly difference: Difference;
}

/** Differences remembered for each part until it changes. */
const mostDifferences = 64;

/** Makes what goes out, once for all clients that stand at the same point. */
export class Pushes {
  readonly store: ScopeStore;
  readonly encoder: Encoder;
  readonly #messages: EncodedMemory;
  readonly #fragments: EncodedMemory;

  /** @param rememberedBytes what is encoded is remembered up to about so many bytes. */
  constructor(store: ScopeStore, encoder: Encoder, rememberedBytes: number) {
    this.store = store;
    this.encoder = encoder;
    this.#messages = new EncodedMemory(rememberedBytes / 2);
    this.#fragments = new EncodedMemory(rememberedBytes / 2);
  }

  get sets(): NameSets {
    return this.store.sets;
  }

  /** Brings a client up to its view. */
  news(variant: Variant, standing: Standing): News {
    const { view, refusals, tried } = standing;
    const all = this.#byParts(standing) ?? this.#difference(view, standing.base, standing.forced);
    const isWhole = isWholeType(view.type);
    const difference = refusals.size > 0 ? withoutRefused(all, refusals, tried, isWhole, this.sets) : all;
    if (!standing.mustAnswer && !this.#speaks(variant, standing, difference)) {
      return { message: undefined, difference };
    }
    if (variant === "sotw" && isWhole) return this.#whole(standing, difference);
    return { message: this.#changes(variant, standing, difference), difference };
  }

  /** Takes away names that the client was left with. Only of the delta variant. */
  cleanup(view: View, gone: NameSet, after: number): Message {
    const key = `cleanup ${view.type} ${gone.id} ${view.revision}`;
    return this.#message(key, after, view, () => [deltaFragment([], gone)]);
  }

  #speaks(variant: Variant, { view, removals }: Standing, difference: Difference): boolean {
    if (difference.upserts.length > 0) return true;
    const gone = removals && difference.removed.size > 0;
    if (variant === "delta") return gone || difference.unknown.length > 0;
    return isWholeType(view.type) ? gone : difference.unknown.length > 0;
  }

  /** The differences of a view's parts, which other views share; unless a name went from one part to another. */
  #byParts({ view, base, forced }: Standing): MergedDifference | undefined {
    const same = base === nothing || (base instanceof At && base.shown === view);
    if (view.parts.length < 2 || forced.size > 0 || !same) return undefined;
    const differences = view.parts.map((part) => this.#difference(part, partBase(part, base), forced));
    return overlap(view, differences) ? undefined : new MergedDifference(differences, this.sets);
  }

  #difference(shown: Part | View, base: Base, forced: NameSet): Difference {
    const { differences } = shown;
    const key = `${base.key} ${forced.id}`;
    let difference = differences.get(key);
    if (!difference) {
      difference = differenceOf(base, shown, forced, this.sets);
      if (differences.size >= mostDifferences) differences.clear();
      differences.set(key, difference);
    }
    return difference;
  }

  /** Only what changed. What one part alone has to say is one message for all views of the part. */
  #changes(variant: Variant, standing: Standing, difference: Difference): Message {
    const { view, base, forced, removals, after, refusals } = standing;
    if (refusals.size > 0)
      return this.encoder.encode(view.type, [fragment(variant, view, difference, removals)], view.revision);
    if (!(difference instanceof MergedDifference)) {
      const key = `${variant} ${view.key} ${view.revision} ${base.key} ${forced.id} ${removals}`;
      return this.#message(key, after, view, () => [fragment(variant, view, difference, removals)]);
    }
    const told = view.parts.flatMap((part, at) => {
      const own = difference.parts[at];
      const speaks = own && (own.upserts.length > 0 || (removals && own.removed.size > 0));
      const key = `${variant} ${part.key} ${part.revision} ${partBase(part, base).key} ${removals}`;
      return speaks ? [{ key, bytes: () => this.#fragment(key, () => fragment(variant, view, own, removals)) }] : [];
    });
    const key = told.length > 0 ? told.map(({ key }) => key).join("; ") : `${variant} ${view.key} ${view.revision}`;
    return this.#message(key, after, view, () => told.map(({ bytes }) => bytes()));
  }

  /** Everything, as the state-of-the-world variant wants it of types that are asked for as a whole. */
  #whole(standing: Standing, difference: Difference): News {
    const { view, after, refusals, removals } = standing;
    const kept = new Map(standing.kept);
    if (!removals) for (const name of difference.removed) kept.set(name, difference.past.get(name));
    for (const name of kept.keys()) if (view.get(name)) kept.delete(name);
    if (kept.size === 0 && refusals.size === 0) {
      const key = `whole ${view.key} ${view.revision}`;
      return { message: this.#message(key, after, view, () => [sotwFragment(view.resources())]), difference };
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
    const known = this.#messages.get(key) as Message | undefined;
    if (known && known.serial > after) return known;
    const message = this.encoder.encode(view.type, fragments(), view.revision);
    this.#messages.set(key, message);
    return message;
  }

  #fragment(key: string, make: () => Uint8Array): Uint8Array {
    const known = this.#fragments.get(key);
    if (known) return known.bytes;
    const bytes = make();
    this.#fragments.set(key, { bytes });
    return bytes;
  }
}

function partBase(part: Part, base: Base): Base {
  return base instanceof At ? new At(part, part.positionAt(base.revision)) : base;
}

/** Whether parts speak of the same name: such as when a resource moved from one scope to another. */
function overlap(view: View, differences: readonly Difference[]): boolean {
  return differences.some((difference, at) => {
    for (const name of difference.removed) if (view.get(name)) return true;
    const others = view.parts.filter((_, other) => other !== at);
    const largest = differences.every((other) => other.upserts.length <= difference.upserts.length);
    // It is enough to look from the smaller ones.
    return !largest && difference.upserts.some(({ name }) => others.some((other) => other.get(name)));
  });
}

function fragment(variant: Variant, view: View, difference: Difference, removals: boolean): Uint8Array {
  const { upserts, unknown } = difference;
  if (variant === "delta") return deltaFragment(upserts, [...(removals ? difference.removed : []), ...unknown]);
  return sotwFragment([...upserts, ...unknown.flatMap((name) => emptyResource(view.type, name) ?? [])]);
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

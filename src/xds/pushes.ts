import type { Base, Kept } from "./base.ts";
import { differenceOf, withoutRefused, type Difference } from "./difference.ts";
import type { EncodedResource } from "#proto/encoded.ts";
import { emptyResource, type Content, type Encoder, type Message, type Variant } from "./message.ts";
import type { NameSet, NameSets } from "./names.ts";
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

/** Differences and messages remembered for each view until it changes. */
const mostRemembered = 64;

/** Makes what goes out, once for all clients that stand at the same point. */
export class Pushes {
  readonly store: ScopeStore;
  readonly encoder: Encoder;

  constructor(store: ScopeStore, encoder: Encoder) {
    this.store = store;
    this.encoder = encoder;
  }

  get sets(): NameSets {
    return this.store.sets;
  }

  /** Brings a client up to its view. */
  news(variant: Variant, standing: Standing): News {
    const { refusals, tried } = standing;
    const all = this.#difference(standing);
    const isWhole = isWholeType(standing.view.type);
    const difference = refusals.size > 0 ? withoutRefused(all, refusals, tried, isWhole, this.sets) : all;
    if (!standing.mustAnswer && !this.#speaks(variant, standing, difference)) {
      return { message: undefined, difference };
    }
    if (variant === "sotw" && isWhole) return this.#whole(standing, difference);
    return { message: this.#partial(variant, standing, difference, refusals.size === 0), difference };
  }

  /** Takes away names that the client was left with. Only of the delta variant. */
  cleanup(view: View, gone: NameSet, after: number): Message {
    return this.#message(view, `cleanup ${gone.id}`, after, "delta", () => ({
      type: view.type,
      resources: [],
      removed: gone,
    }));
  }

  #speaks(variant: Variant, { view, removals }: Standing, difference: Difference): boolean {
    if (difference.upserts.length > 0) return true;
    const gone = removals && difference.removed.size > 0;
    if (variant === "delta") return gone || difference.unknown.length > 0;
    return isWholeType(view.type) ? gone : difference.unknown.length > 0;
  }

  #difference({ view, base, forced }: Standing): Difference {
    return this.#remembered(view, `difference ${base.key} ${forced.id}`, () =>
      differenceOf(base, view, forced, this.sets),
    );
  }

  /** Only what changed. */
  #partial(
    variant: Variant,
    { view, base, forced, removals, after }: Standing,
    difference: Difference,
    shared: boolean,
  ): Message {
    const { upserts } = difference;
    const content = (): Content => {
      const gone = removals ? difference.removed : this.sets.empty;
      if (variant === "delta") {
        return { type: view.type, resources: upserts, removed: [...gone, ...difference.unknown] };
      }
      const empty = difference.unknown.flatMap((name) => emptyResource(view.type, name) ?? []);
      return { type: view.type, resources: [...upserts, ...empty], removed: [] };
    };
    if (!shared) return this.encoder.encode(variant, content(), view.revision);
    return this.#message(view, `${variant} ${base.key} ${forced.id} ${removals}`, after, variant, content);
  }

  /** Everything, as the state-of-the-world variant wants it of types that are asked for as a whole. */
  #whole(standing: Standing, difference: Difference): News {
    const { view, after, refusals, removals } = standing;
    const kept = new Map(standing.kept);
    if (!removals) for (const name of difference.removed) kept.set(name, difference.past.get(name));
    for (const name of kept.keys()) if (view.get(name)) kept.delete(name);
    const content = (resources: readonly EncodedResource[]): Content => ({ type: view.type, resources, removed: [] });
    if (kept.size === 0 && refusals.size === 0) {
      const message = this.#message(view, "whole", after, "sotw", () => content([...view.resources()]));
      return { message, difference };
    }
    const { current, instead } = this.#taken(standing);
    const left = [...kept.values()].flatMap((past) => past?.resource ?? []);
    const message = this.encoder.encode("sotw", content([...current, ...instead, ...left]), view.revision);
    // What stands in for a refused resource may be news, too: it is not certain which version the client serves.
    const awaits = this.sets.plus(difference.awaits, new Set(instead.flatMap((resource) => resource.awaits)));
    return { message, difference: { ...difference, awaits } };
  }

  /** What a client that refuses some resources gets of a view: the others, and what it took last instead of those. */
  #taken({ view, refusals, tried }: Standing): Record<"current" | "instead", readonly EncodedResource[]> {
    const current: EncodedResource[] = [];
    const instead: EncodedResource[] = [];
    for (const resource of view.resources()) {
      const refusal = tried.has(resource.name) ? undefined : refusals.against(resource);
      if (!refusal) current.push(resource);
      else if (refusal.lastGood?.resource) instead.push(refusal.lastGood.resource);
    }
    return { current, instead };
  }

  /** A message remembered, or encoded anew where the stream already got this one or a later one. */
  #message(view: View, key: string, after: number, variant: Variant, content: () => Content): Message {
    const known = view.encoded.get(key) as Message | undefined;
    if (known && known.serial > after) return known;
    view.encoded.delete(key);
    return this.#remembered(view, key, () => this.encoder.encode(variant, content(), view.revision));
  }

  #remembered<V extends object>(view: View, key: string, make: () => V): V {
    const known = view.encoded.get(key) as V | undefined;
    if (known) return known;
    if (view.encoded.size >= mostRemembered) view.encoded.clear();
    const made = make();
    view.encoded.set(key, made);
    return made;
  }
}

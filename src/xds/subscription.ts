import { typeUrls, type TypeUrl } from "#proto/encoded.ts";
import type { NameSet, NameSets } from "./names.ts";
import type { Subscription } from "./shown.ts";

/** A step of a subscription: what is asked for afterwards, and what must be answered whether it changed or not. */
export interface Asked {
  readonly subscription: Subscription;
  /** Names to answer: those newly asked for, or asked for again. */
  readonly answer: NameSet;
  /** The type was asked for as a whole just now, so that even an empty set is an answer. */
  readonly whole: boolean;
}

const everything = "*";

const byName: ReadonlySet<TypeUrl> = new Set([typeUrls.endpoints, typeUrls.route, typeUrls.secret, typeUrls.extension]);

/** Whether a type is asked for as a whole. The others are asked for by name only. */
export function isWholeType(type: TypeUrl): boolean {
  return !byName.has(type);
}

/**
 * Whether resources of a type are never taken away: of a certificate or a filter's configuration that is gone Envoy keeps
 * the last one, so that what it serves goes on, also on listeners that it drains. That one does not exist is not said
 * either: Envoy would take it for a mistake, or answer every request with 500.
 */
export function isLasting(type: TypeUrl): boolean {
  return type === typeUrls.secret || type === typeUrls.extension;
}

/** A delta request's part about subscriptions. */
export interface DeltaAsk {
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
}

/**
 * The delta variant's rules. A first request without names asks for everything (the older way to write `*`), and
 * names beside `*` change nothing but must be answered.
 * @param before undefined on the first request of the type on the stream.
 */
export function deltaStep(type: TypeUrl, before: Subscription | undefined, ask: DeltaAsk, sets: NameSets): Asked {
  const legacy = before === undefined && ask.subscribe.length === 0 && ask.unsubscribe.length === 0;
  const star = legacy || ask.subscribe.includes(everything);
  const held = before ?? { wildcard: false, names: sets.empty };
  const wildcard = isWholeType(type) && (star || (held.wildcard && !ask.unsubscribe.includes(everything)));
  const subscribe = sets.of(star ? ask.subscribe.filter((name) => name !== everything) : ask.subscribe);
  const unsubscribe = sets.of(ask.unsubscribe.filter((name) => name !== everything));
  const names = sets.plus(sets.minus(held.names, unsubscribe), subscribe);
  // Whoever drops a name but keeps `*` waits to be told whether that covers the name.
  const answer = wildcard ? sets.plus(subscribe, unsubscribe) : subscribe;
  return { subscription: { wildcard, names }, answer, whole: star && wildcard };
}

/**
 * The state-of-the-world rules: each request lists everything that is asked for. None on the first request means
 * everything, later it means nothing more.
 */
export function sotwStep(
  type: TypeUrl,
  before: Subscription | undefined,
  listed: readonly string[],
  sets: NameSets,
): Asked {
  const legacy = listed.length === 0 && (before === undefined || (before.wildcard && before.names.size === 0));
  const wildcard = isWholeType(type) && (legacy || listed.includes(everything));
  const names = sets.of(listed.filter((name) => name !== everything));
  const answer = before ? sets.minus(names, before.names) : names;
  return { subscription: { wildcard, names }, answer, whole: wildcard && before?.wildcard !== true };
}

import { type TypeUrl, typeUrls } from "#proto/encoded.ts";
import { At, Keeping, nothing, type Base, type Kept } from "./base.ts";
import type { Difference } from "./difference.ts";
import { Leftovers } from "./leftovers.ts";
import type { Variant } from "./message.ts";
import type { NameSet } from "./names.ts";
import type { ScopeKey, TypeState } from "./port.ts";
import type { Part, PartUser } from "./part.ts";
import type { Push, Pushes } from "./pushes.ts";
import { Refusals } from "./refusal.ts";
import { isWholeType, type Asked } from "./subscription.ts";
import type { Past, Subscription } from "./shown.ts";
import type { View } from "./view.ts";

const noScopes: ReadonlySet<ScopeKey> = new Set();
const untried: ReadonlySet<string> = new Set();
const nothingKept: Kept = new Map();
/** Of most clients, which refuse nothing. Nothing is recorded in it. */
const noRefusals = new Refusals();
const nothingNew = { upserts: [], past: new Map<string, Past>(), unknown: [] };

/** How a client answered: `stale` is an answer to anything but the response that waits for one. */
export type Answer =
  | { readonly kind: "ack"; readonly difference: Difference }
  /** `known`: it refused only what it had refused before, tried again to find what is at fault. */
  | { readonly kind: "nack"; readonly difference: Difference; readonly known: boolean }
  | { readonly kind: "stale" };

/** What a watch must know of the others of its stream; see `PushOrder`. */
interface Order {
  isUnused(type: TypeUrl, revision: number): boolean;
  mayRemove(type: TypeUrl, revision: number): boolean;
  missing(): NameSet;
}

/** How the next response is put together. */
interface NewsOptions {
  /** What is gone now may be taken away now. */
  readonly removals: boolean;
  /** What was gone earlier may be. */
  readonly tidy: boolean;
  /** Refused names that are tried once more. */
  readonly tried: ReadonlySet<string>;
  /** What the client lacks: what names it goes out later. */
  readonly missing: NameSet;
}

/** What a stream's watches share. */
export interface WatchContext {
  readonly pushes: Pushes;
  readonly variant: Variant;
  /** Milliseconds since the epoch. */
  readonly now: () => number;
  /** Something can go out. */
  readonly due: () => void;
}

/**
 * One type on one stream. All it keeps is what is asked for (interned), a position (a view and a revision), the answer
 * that is outstanding, and refusals while they stand; all else is shared.
 */
export class Watch implements PartUser {
  readonly type: TypeUrl;
  readonly #context: WatchContext;
  #scopes: readonly ScopeKey[] = [];
  #subscription: Subscription | undefined;
  #view: View | undefined;
  /** What was sent: all of a view as of a revision. */
  #sent: { readonly view: View; readonly revision: number } | undefined;
  /** The same as a starting point; before the first response what the client told. */
  #base: Base = nothing;
  /** Names that go out next even if unchanged. */
  #forced: NameSet;
  /** Scopes of which everything goes out next, even if unchanged. */
  #forcedScopes: ReadonlySet<ScopeKey> = noScopes;
  /** Those that went out with the response that is outstanding. */
  #forcedBefore: NameSet;
  /** Those of the forced that wait for what they name, and what that is. */
  #late: { readonly names: NameSet; readonly missing: NameSet } | undefined;
  readonly #leftovers = new Leftovers();
  #outstanding: Push | undefined;
  #due = false;
  /** What is due came by a change, not by what the client asks for or waits for. */
  #changed = false;
  #mustAnswer = false;
  /** The client asked for something that did not go out yet. */
  #asks = false;
  #lastSerial = 0;
  #lastNonce = "";
  #nonceBefore = "";
  #acknowledged = "";
  #refusals = noRefusals;
  #state: TypeState["state"] = "NEVER";
  #since: number;

  constructor(type: TypeUrl, context: WatchContext) {
    this.type = type;
    this.#context = context;
    this.#forced = context.pushes.sets.empty;
    this.#forcedBefore = context.pushes.sets.empty;
    this.#since = context.now();
  }

  /** What is asked for; undefined before the first request. */
  get subscription(): Subscription | undefined {
    return this.#subscription;
  }

  /** What the client is to hold; undefined before the first request. */
  get shown(): View | undefined {
    return this.#view;
  }

  /** Whether a response waits for its answer. */
  get outstanding(): boolean {
    return this.#outstanding !== undefined;
  }

  /** Whether something that may be new waits to go out. */
  get pending(): boolean {
    return this.#subscription !== undefined && (this.#due || this.#refusals.trying);
  }

  /** Whether what is due can be sent in part, the rest when the client has what that names. */
  get splits(): boolean {
    if (this.type !== typeUrls.virtualHost || this.isNew || this.#asks || this.#mustAnswer || this.refused)
      return false;
    const { empty } = this.#context.pushes.sets;
    return this.#forcedScopes.size === 0 && this.#forced === (this.#late?.names ?? empty);
  }

  /** Whether something is still to go out to a client that has taken what was before, or to be answered by it. */
  get unsettled(): boolean {
    return this.unanswered || (!this.isNew && (this.pending || this.late));
  }

  /** Whether a client that has taken what was before has a response to answer. */
  get unanswered(): boolean {
    return !this.isNew && this.#outstanding !== undefined;
  }

  /**
   * Whether what is to go out must not wait for the next change: what is new in one, what begins to serve the client or
   * what a request waits for, and what is so much that it should not be kept.
   */
  get urgent(): boolean {
    if (this.keepsMuch) return true;
    return this.pending && (this.#changed || this.isNew || (this.#asks && isWholeType(this.type)));
  }

  /** Whether something waits until the client has what it names. */
  get late(): boolean {
    return this.#late !== undefined;
  }

  /** Names of what the client lacks that is in the view now, and has no version of. */
  lacks(): NameSet {
    const { pushes } = this.#context;
    const [view, sent] = [this.#view, this.#sent?.view];
    if (!view) return pushes.sets.empty;
    if (!sent || sent === view || view.subscription.wildcard) return pushes.lacking(view, this.#base);
    // Where more names are asked for than before, the two are not compared name by name.
    const more = pushes.sets.minus(view.subscription.names, sent.subscription.names);
    return pushes.sets.plus(pushes.lacking(sent, this.#base), more);
  }

  /** Whether the client lacks what is in the view now, be it due already or not. */
  get behind(): boolean {
    if (!this.#view) return false;
    if (this.late) return true;
    return this.pending || this.#sent?.view !== this.#view || this.#sent.revision !== this.#view.revision;
  }

  /** Whether the client has taken all that there was in a revision. */
  holds(revision: number): boolean {
    if (this.#outstanding || this.late) return false;
    return !this.behind || (this.#sent?.view === this.#view && (this.#sent?.revision ?? 0) >= revision);
  }

  /** Whether what the client should lose is so much that it should not wait. */
  get keepsMuch(): boolean {
    return this.#leftovers.isMuch;
  }

  /** Whether the client still holds what it should lose, and may be told so now. */
  mayTidy(order: Order): boolean {
    // State of the world has one way to say it: all that there is now.
    const revision = this.#context.variant === "sotw" ? (this.#view?.revision ?? 0) : this.#leftovers.since;
    return this.keeping && order.mayRemove(this.type, revision);
  }

  /** Whether there are resources in the view now of which the client has no version. */
  get lacking(): boolean {
    if (!this.#view) return false;
    if (this.#sent?.view !== this.#view) return true;
    const { revision } = this.#sent;
    return revision < this.#context.pushes.store.grownAt && revision < this.#view.grownAt;
  }

  /** Whether the client still holds what it should lose. */
  get keeping(): boolean {
    return this.#leftovers.size > 0;
  }

  /** Names that went out, or were to go out, because something waits for them, and whose answer is missing. */
  get owed(): NameSet {
    const forced = this.#forcedNames();
    return this.#outstanding ? this.#context.pushes.sets.plus(forced, this.#forcedBefore) : forced;
  }

  /** Whether the client has taken nothing of the type yet. */
  get isNew(): boolean {
    return this.#acknowledged === "";
  }

  /** The nonce that was sent last. */
  get nonce(): string {
    return this.#lastNonce;
  }

  /** Whether the client can have a nonce from this stream: what is on its way to the client crosses what it says. */
  knows(nonce: string): boolean {
    return nonce === this.#lastNonce || nonce === this.#nonceBefore;
  }

  /** Whether the client asked for something that did not go out yet. */
  get asks(): boolean {
    return this.#asks;
  }

  get refused(): boolean {
    return this.#refusals.size > 0;
  }

  position(part: Part): number | undefined {
    return this.#sent?.view.parts.includes(part) ? this.#sent.revision : undefined;
  }

  due(): void {
    if (this.#subscription === undefined) return;
    this.#changed = true;
    this.#wake();
  }

  #wake(): void {
    if (this.#subscription === undefined) return;
    this.#due = true;
    this.#context.due();
  }

  /** The client lags so far behind that what it holds is not known any more. */
  get lost(): boolean {
    return this.#sent !== undefined && this.#sent.revision < this.#sent.view.floor;
  }

  /** The proxy's scopes for this type are these from now on. */
  scope(scopes: readonly ScopeKey[]): void {
    this.#scopes = scopes;
    if (this.#aim()) this.due();
  }

  /**
   * Takes in what a request asks for. `base` is what the client told that it holds, on its first request.
   * @throws Misconduct when there is nothing for too much of it.
   */
  ask(asked: Asked, base: Base = nothing): void {
    const { sets, store } = this.#context.pushes;
    // Not when scopes change: what was there is asked for until the client has learned that it is no more.
    if (asked.subscription.names !== this.#subscription?.names)
      store.checkKnown(this.type, this.#scopes, asked.subscription, base !== nothing);
    const before = this.#subscription;
    const first = before === undefined;
    this.#subscription = asked.subscription;
    this.#forgetUnasked(before?.names ?? sets.empty, asked.subscription);
    if (first) this.#base = base;
    const answer = base === nothing ? asked.answer : sets.filter(asked.answer, (name) => !base.held(name));
    this.#refusals.clear(answer);
    this.#forced = sets.plus(this.#forced, answer);
    if (asked.whole && (base === nothing || !first)) this.#mustAnswer = true;
    if (this.#aim()) this.#wake();
    if (answer.size === 0 && !asked.whole) return;
    this.#asks = true;
    this.#wake();
  }

  /** Envoy waits for these: they go out again. They are remembered until the type is asked for. */
  force(names: NameSet): void {
    if (names.size === 0) return;
    this.#forced = this.#context.pushes.sets.plus(this.#forced, names);
    this.#wake();
  }

  /** Envoy waits for all of these scopes: the same for each name in them. */
  forceScopes(scopes: readonly ScopeKey[]): void {
    if (scopes.length === 0) return;
    this.#forcedScopes = this.#forcedScopes.union(new Set(scopes));
    this.#wake();
  }

  /**
   * What waited for something that the client lacked is due when it lacks other things.
   * @param missing what it lacks now.
   */
  retry(missing: NameSet): void {
    if (this.#late && !this.#due && this.#late.missing !== missing) this.#wake();
  }

  /**
   * What to send now, if anything.
   * @param order says whether resources may be taken away already, and what the client lacks.
   */
  next(order: Order): Push | undefined {
    const view = this.#view;
    if (!view || this.#outstanding) return undefined;
    const push = this.pending ? this.#pendingPush(view, order) : undefined;
    return push ?? (this.mayTidy(order) ? this.#cleanup(view) : undefined);
  }

  #pendingPush(view: View, order: Order): Push | undefined {
    const options = {
      removals: order.isUnused(this.type, view.revision),
      tidy: this.mayTidy(order),
      tried: untried,
      missing: this.splits ? order.missing() : this.#context.pushes.sets.empty,
    };
    return this.#trial(view, options) ?? (this.#due ? this.#news(view, options) : undefined);
  }

  /** A push went out. */
  sent(push: Push): void {
    this.#outstanding = push;
    this.#lastSerial = push.message.serial;
    this.#nonceBefore = this.#lastNonce;
    this.#lastNonce = push.message.nonce;
    this.#enterState();
  }

  /** The client answered a response. */
  answered(nonce: string, refusal: string | undefined): Answer {
    const push = this.#outstanding;
    if (!push || push.message.nonce !== nonce) return { kind: "stale" };
    this.#outstanding = undefined;
    const { difference } = push;
    if (refusal === undefined) {
      this.#acknowledged = push.message.version;
      if (this.refused) this.#refusals.clear(difference.names);
      this.#enterState();
      return { kind: "ack", difference };
    }
    const known = difference.upserts.every((resource) => this.#refusals.against(resource));
    if (this.#refusals === noRefusals) this.#refusals = new Refusals();
    this.#refusals.record(refusal, difference.upserts, (name) => difference.past.get(name));
    if (difference.upserts.length > 0) this.#sayAgain(difference);
    this.#enterState();
    return { kind: "nack", difference, known };
  }

  /** A refused response may not have been applied at all: what it said besides goes out again, apart. */
  #sayAgain(difference: Difference): void {
    // Whether it was taken away is not known: it is taken away once more, and sent anew if it comes back.
    const asked = (name: string): boolean => this.#view?.asksFor(name) === true;
    this.#leftovers.doubt(this.#context.pushes.sets.filter(difference.removed, asked));
    // A trial holds everything else, too.
    if (this.#context.variant === "sotw" && isWholeType(this.type) && !this.#refusals.trying) {
      this.#mustAnswer = true;
      this.#wake();
    }
    this.force(this.#context.pushes.sets.of(difference.unknown));
  }

  /** How the type stands. */
  status(): TypeState {
    this.#enterState();
    const state = this.#state;
    const { names: resources, message } = this.#refusals;
    const version = this.#acknowledged;
    const size = this.#view?.size;
    return {
      state,
      version,
      since: this.#since,
      ...(state === "NACKED" && { refused: { resources, message } }),
      ...(size && { size }),
    };
  }

  /** Lets go of everything shared. */
  dispose(): void {
    const { store } = this.#context.pushes;
    if (this.#view) store.release(this.#view, this);
    if (this.#sent) store.release(this.#sent.view, this);
    this.#view = undefined;
    this.#sent = undefined;
  }

  /** Remembers since when the state is what it is. */
  #enterState(): void {
    const state = this.standing;
    if (state === this.#state) return;
    this.#state = state;
    this.#since = this.#context.now();
  }

  /** How the type stands, without the rest. */
  get standing(): TypeState["state"] {
    if (!this.#subscription) return "NEVER";
    if (this.#refusals.size > 0) return "NACKED";
    return this.outstanding || this.behind || this.keeping ? "STALE" : "SYNCED";
  }

  /** What is asked for no longer the client has dropped by itself: asked for again, it is not held any more. */
  #forgetUnasked(before: NameSet, { wildcard, names }: Subscription): void {
    if (wildcard) return;
    const { sets } = this.#context.pushes;
    if (before !== names) this.#leftovers.forget(sets.minus(before, names));
    // Whoever asks for them again later is answered: to remember them would let debts add up over streams.
    if (this.#forced !== names) this.#forced = sets.both(this.#forced, names);
  }

  /** What is no more, or no longer asked for, is not refused either. */
  #forgetGone(): void {
    if (this.#refusals.size > 0) this.#refusals.clear(this.#refusals.names.filter((name) => !this.#view?.get(name)));
  }

  #forcedNames(): NameSet {
    const { sets } = this.#context.pushes;
    if (this.#forcedScopes.size === 0) return this.#forced;
    const parts = this.#view?.parts.filter((part) => this.#forcedScopes.has(part.scope.key)) ?? [];
    return parts.reduce((all, part) => sets.plus(all, part.names(sets)), this.#forced);
  }

  /** Holds the view for the scopes and subscription of now. Returns whether it is another than before. */
  #aim(): boolean {
    if (!this.#subscription) return false;
    const { store } = this.#context.pushes;
    const before = this.#view;
    const view = store.hold(this.type, this.#scopes, this.#subscription, this);
    this.#view = view;
    if (before) store.release(before, this);
    return view !== before;
  }

  #news(view: View, { removals, tidy, tried, missing }: NewsOptions): Push | undefined {
    const { pushes, variant } = this.#context;
    const { sets } = pushes;
    // What is kept is no matter, unless some of it is back, or all is said.
    const apart = !this.keeping || (variant === "delta" && !this.#leftovers.isBack(view));
    const gone = tidy && apart && tried.size === 0 && !this.refused ? sets.of(this.#leftovers.letGo(view)) : sets.empty;
    const now = this.#takesAwayAtOnce || (removals && !this.keeping);
    const forced = this.#forcedNames();
    const { message, difference, late, left } = pushes.news(variant, {
      view,
      base: apart ? this.#base : new Keeping(this.#base, this.#leftovers.kept),
      forced: tried.size > 0 ? sets.plus(forced, tried) : forced,
      kept: apart ? nothingKept : this.#leftovers.kept,
      after: this.#lastSerial,
      removals: now,
      gone,
      mustAnswer: this.#mustAnswer,
      refusals: this.#refusals,
      tried,
      missing,
    });
    this.#leftovers.keep(left, difference.past, view.revision);
    this.#move(view);
    if (late.size > 0) {
      this.#forced = late;
      this.#late = { names: late, missing };
    }
    if (message) return { message, difference };
    if (late.size > 0) return undefined;
    this.#acknowledged = pushes.encoder.versionOf(view.revision);
    this.#enterState();
    return undefined;
  }

  /** Sends again what was refused together with others, to find which of them the client does not take. */
  #trial(view: View, options: NewsOptions): Push | undefined {
    for (let tried = this.#refusals.nextTrial(); tried; tried = this.#refusals.nextTrial()) {
      const push = this.#news(view, { ...options, tried: new Set(tried.filter((name) => view.get(name))) });
      if (push) return push;
    }
    return undefined;
  }

  /** Whether this variant and type have no way to take something away, or no need to wait with it. */
  get #takesAwayAtOnce(): boolean {
    return this.#context.variant === "sotw" && !isWholeType(this.type);
  }

  #cleanup(view: View): Push | undefined {
    const { pushes, variant } = this.#context;
    // What came back is told from what is gone by the next news.
    const names = pushes.sets.of(this.#leftovers.letGo(view));
    if (names.size === 0) return undefined;
    if (variant === "sotw") {
      this.#mustAnswer = true;
      const { empty: missing } = pushes.sets;
      return this.#news(view, { removals: true, tidy: false, tried: untried, missing });
    }
    const message = pushes.cleanup(view, names, this.#lastSerial);
    const { empty } = pushes.sets;
    return { message, difference: { ...nothingNew, removed: names, names, awaits: empty, warms: empty } };
  }

  /** The client holds, or will hold with what is sent now, all of the view. */
  #move(view: View): void {
    const { store, sets } = this.#context.pushes;
    const before = this.#sent;
    this.#sent = { view, revision: view.revision };
    this.#base = new At(view, view.revision);
    if (before?.view !== view) {
      store.share(view, this);
      if (before) store.release(before.view, this);
    }
    this.#forcedBefore = this.#forcedNames();
    this.#forced = sets.empty;
    this.#late = undefined;
    this.#forcedScopes = noScopes;
    this.#due = false;
    this.#changed = false;
    this.#mustAnswer = false;
    this.#asks = false;
    this.#forgetGone();
    this.#leftovers.takeBack(view);
  }
}

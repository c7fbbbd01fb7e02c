import type { ResourceObject, StringMap } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Client, KindRef, Selection } from "#kube/client.ts";
import { type Change, Reflector } from "#kube/reflector.ts";
import type { Entry, Intake } from "./intake.ts";

/** How objects of one kind enter the model. */
export interface Feed {
  readonly kind: KindRef;
  /** Which objects of the kind; all unless given. */
  readonly selection?: Selection;
  /** Whether an object is for this control plane; all are unless told. One that is not counts as gone. */
  readonly belongs?: (object: ResourceObject) => boolean;
  /** Drops what nobody reads, before an object is kept. */
  readonly trim?: (object: ResourceObject) => ResourceObject;
  /** Called inside a change of the engine. */
  readonly put: (object: ResourceObject) => void;
  readonly remove: (object: ResourceObject) => void;
}

/** What a source needs besides its API. */
export interface SourceContext {
  /** The way into the model, of all sources. */
  readonly intake: Intake;
  readonly clock: Clock;
  readonly logger: Logger;
  /** Told of each object as it is stored, status included, and of its end; for whoever writes statuses. */
  readonly audience?: Audience;
}

/** Somebody who follows the mesh's objects beside the model. */
export interface Audience {
  seen(object: ResourceObject): void;
  gone(object: ResourceObject): void;
}

/** A running source. */
export interface Source {
  /** Resolves when the whole state of every kind has entered the model. */
  readonly synced: Promise<void>;
  /** Resolves when the signal has ended it. */
  readonly done: Promise<void>;
}

/** Kinds of one API that are followed. */
export interface Followed extends Source {
  /** Resolves when the API has answered: the whole state of some kind has entered the model. */
  readonly answered: Promise<void>;
}

/** Texts by their names, without what is none; undefined for anything else. */
function textsOf(value: unknown): StringMap | undefined {
  if (typeof value !== "object" || value === null) return undefined;
  const all = Object.entries(value);
  const texts = all.filter((entry): entry is [string, string] => typeof entry[1] === "string");
  return texts.length === all.length ? (value as StringMap) : Object.fromEntries(texts);
}

/**
 * An object without what nobody here reads of its metadata (managed fields alone can be half of an object), nor what is not of its
 * shape: no API server takes that in, but what stands before one may say anything, and one object must not hold up all.
 */
function sound(object: ResourceObject): ResourceObject {
  const { managedFields: _dropped, labels: someLabels, annotations: some, ...rest } = object.metadata;
  const [labels, annotations] = [textsOf(someLabels), textsOf(some)];
  return { ...object, metadata: { ...rest, ...(labels && { labels }), ...(annotations && { annotations }) } };
}

/** A change of a feed as it enters the model. What ended before its turn came does not enter. */
function entryOf(
  { audience }: SourceContext,
  feed: Feed,
  change: Change,
  signal: AbortSignal,
  done: () => void,
): Entry {
  const { belongs = () => true } = feed;
  const told = change.kind === "sync" ? change.objects : [change.object];
  const [put, removed] = [[], []] as [ResourceObject[], ResourceObject[]];
  for (const object of told) (change.kind !== "delete" && belongs(object) ? put : removed).push(object);
  return {
    enter: () => {
      if (signal.aborted) return;
      for (const object of put) feed.put(object);
      for (const object of removed) feed.remove(object);
    },
    entered: () => {
      if (signal.aborted) return;
      for (const object of put) audience?.seen(object);
      for (const object of removed) audience?.gone(object);
      done();
    },
  };
}

/** Keeps entries until the whole state of every kind has been read, and then lets all of them in as one. */
class Together {
  readonly #intake: Intake;
  readonly #unread: Set<Feed>;
  #held: Entry[];

  constructor(intake: Intake, feeds: readonly Feed[], first: Entry) {
    this.#held = [first];
    this.#intake = intake;
    this.#unread = new Set(feeds);
  }

  add(feed: Feed, entry: Entry, whole: boolean): void {
    this.#held.push(entry);
    if (whole) this.#unread.delete(feed);
    if (this.#unread.size > 0) return;
    const entries = this.#held;
    this.#held = [];
    this.#intake.add(...entries);
  }
}

async function all(promises: readonly Promise<void>[]): Promise<void> {
  await Promise.all(promises);
}

/** How kinds are followed. */
export interface FollowOptions {
  /** What enters first, in one with the whole state of every kind when all has been read; each kind by itself unless told. */
  readonly together?: Entry;
  /** Called each time that a kind cannot be followed, and with undefined when it is again. */
  readonly state?: (kind: KindRef, failure: unknown) => void;
}

/** Follows kinds of one API into the model until the signal aborts. An API that is away leaves the last known state. */
export function follow(
  client: Client,
  feeds: readonly Feed[],
  context: SourceContext,
  signal: AbortSignal,
  { together, state }: FollowOptions = {},
): Followed {
  const { intake, clock, logger } = context;
  const gate = together && new Together(intake, feeds, together);
  const followed = feeds.map((feed) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { kind, selection, trim = (object) => object } = feed;
    const told = (change: Change): void => {
      const whole = change.kind === "sync";
      const entry = entryOf(context, feed, change, signal, () => whole && resolve());
      if (gate) gate.add(feed, entry, whole);
      else intake.add(entry);
    };
    const reflector = new Reflector(
      {
        client: client.of(kind),
        clock,
        logger,
        trim: (object) => trim(sound(object)),
        ...(selection && { selection }),
        ...(state && { state: (failure: unknown) => state(kind, failure) }),
      },
      told,
    );
    return { synced: promise, done: reflector.run(signal) };
  });
  const read = followed.map((one) => one.synced);
  return { synced: all(read), answered: Promise.race(read), done: all(followed.map((one) => one.done)) };
}

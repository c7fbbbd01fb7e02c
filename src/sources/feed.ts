import type { ResourceObject } from "#api/meta.ts";
import type { Clock } from "#base/clock.ts";
import type { Logger } from "#base/logger.ts";
import type { Client, KindRef, Selection } from "#kube/client.ts";
import { type Change, Reflector } from "#kube/reflector.ts";
import type { Intake } from "./intake.ts";

/** How objects of one kind enter the model. */
export interface Feed {
  readonly kind: KindRef;
  /** Which objects of the kind; all unless given. */
  readonly selection?: Selection;
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

/** Members of an object's metadata that nobody here reads; managed fields alone can be half of an object. */
function withoutManagedFields(object: ResourceObject): ResourceObject {
  const { managedFields: _dropped, ...metadata } = object.metadata;
  return { ...object, metadata };
}

function enter({ intake, audience }: SourceContext, feed: Feed, change: Change, entered: () => void): void {
  const [put, removed] =
    change.kind === "sync"
      ? [change.objects, []]
      : change.kind === "put"
        ? [[change.object], []]
        : [[], [change.object]];
  intake.add({
    enter: () => {
      for (const object of put) feed.put(object);
      for (const object of removed) feed.remove(object);
    },
    entered: () => {
      for (const object of put) audience?.seen(object);
      for (const object of removed) audience?.gone(object);
      entered();
    },
  });
}

async function all(promises: readonly Promise<void>[]): Promise<void> {
  await Promise.all(promises);
}

/** Follows kinds of one API into the model until the signal aborts. An API that is away leaves the last known state. */
export function follow(client: Client, feeds: readonly Feed[], context: SourceContext, signal: AbortSignal): Followed {
  const followed = feeds.map((feed) => {
    const { promise, resolve } = Promise.withResolvers<void>();
    const { kind, selection, trim = (object) => object } = feed;
    const { clock, logger } = context;
    const reflector = new Reflector(
      {
        client: client.of(kind),
        clock,
        logger,
        trim: (object) => trim(withoutManagedFields(object)),
        ...(selection && { selection }),
      },
      (change) => enter(context, feed, change, () => change.kind === "sync" && resolve()),
    );
    return { synced: promise, done: reflector.run(signal) };
  });
  const read = followed.map((one) => one.synced);
  return { synced: all(read), answered: Promise.race(read), done: all(followed.map((one) => one.done)) };
}

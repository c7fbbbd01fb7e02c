import { Backoff } from "#base/backoff.ts";
import type { Clock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import type { ResourceStore, Selection, Stored } from "#store/port.ts";

/** What a follower is told: an object as it is now, or that it is gone (as it was). */
export interface Observed {
  readonly kind: "put" | "delete";
  readonly stored: Stored;
}

/** What is followed, and what following it needs. */
export interface FollowOptions {
  readonly store: ResourceStore;
  readonly selection: Selection;
  readonly clock: Clock;
  /** Told each time that the store fails; it is tried again with growing waits. */
  readonly failed: (error: unknown) => void;
}

/**
 * Follows a selection for ever: all there is, then each change. A watch whose past was compacted away, or that failed, begins again
 * from a list, and what vanished meanwhile is told as deleted.
 */
export async function* follow(options: FollowOptions, signal: AbortSignal): AsyncGenerator<Observed, void, void> {
  const known = new Map<string, Stored>();
  const backoff = new Backoff({ initialMs: 50, maxMs: 5_000 });
  while (!signal.aborted) {
    try {
      yield* followOnce(options, known, () => backoff.reset(), signal);
      // The watch ended without an error: the signal aborted, or the store is closed.
      return;
    } catch (error) {
      if (signal.aborted) return;
      if (codeOf(error) === "Gone") continue;
      options.failed(error);
      // Rejects when the signal aborts, which ends the loop.
      await options.clock.sleep(backoff.next(), signal).catch(() => undefined);
    }
  }
}

async function* followOnce(
  { store, selection }: FollowOptions,
  known: Map<string, Stored>,
  begun: () => void,
  signal: AbortSignal,
): AsyncGenerator<Observed, void, void> {
  const { items, revision } = await store.list(selection);
  const present = new Set(items.map(({ object }) => object.metadata.uid));
  for (const [uid, stored] of known) {
    if (present.has(uid)) continue;
    known.delete(uid);
    yield { kind: "delete", stored };
  }
  for (const stored of items) {
    known.set(stored.object.metadata.uid, stored);
    yield { kind: "put", stored };
  }
  begun();
  for await (const event of store.watch(selection, revision, signal)) {
    if (event.kind === "bookmark") continue;
    const { uid } = event.stored.object.metadata;
    if (event.kind === "put") known.set(uid, event.stored);
    else known.delete(uid);
    yield { kind: event.kind, stored: event.stored };
  }
}

import { codeOf } from "#base/errors.ts";
import type { ResourceStore, Selection, Stored } from "#store/port.ts";

/** What a follower is told: an object as it is now, or that it is gone (as it was). */
export interface Observed {
  readonly kind: "put" | "delete";
  readonly stored: Stored;
}

/**
 * Follows a selection for ever: all there is, then each change. A watch whose past was compacted away begins again from
 * a list, and what vanished meanwhile is told as deleted.
 */
export async function* follow(
  store: ResourceStore,
  selection: Selection,
  signal: AbortSignal,
): AsyncGenerator<Observed, void, void> {
  const known = new Map<string, Stored>();
  while (!signal.aborted) {
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
    try {
      for await (const event of store.watch(selection, revision, signal)) {
        if (event.kind === "bookmark") continue;
        const { uid } = event.stored.object.metadata;
        if (event.kind === "put") known.set(uid, event.stored);
        else known.delete(uid);
        yield { kind: event.kind, stored: event.stored };
      }
    } catch (error) {
      if (codeOf(error) !== "Gone") throw error;
      continue;
    }
    // The watch ended without an error: the signal aborted, or the store is closed.
    return;
  }
}

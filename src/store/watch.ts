import { revisionOf, type History, type Watcher } from "./history.ts";
import type { Selection, StoreEvent } from "./port.ts";

/** A place where one reader waits to be woken. */
class Bell implements Watcher {
  #ring: (() => void) | undefined;
  #rung = false;
  #bookmark = false;

  wake(): void {
    this.#rung = true;
    this.#ring?.();
  }

  bookmark(): void {
    this.#bookmark = true;
    this.wake();
  }

  /** Whether a bookmark was asked for since the last call. */
  takeBookmark(): boolean {
    const due = this.#bookmark;
    this.#bookmark = false;
    return due;
  }

  /** Resolves at the next wake, at once if there was one since the last wait. */
  async wait(): Promise<void> {
    if (!this.#rung) await new Promise<void>((resolve) => (this.#ring = resolve));
    this.#ring = undefined;
    this.#rung = false;
  }
}

/** Changes of a selection after a revision, read from a history as the reader asks for them. */
export async function* watchHistory(
  history: History,
  selection: Selection,
  after: number,
  signal: AbortSignal,
): AsyncGenerator<StoreEvent, void, void> {
  history.check(after);
  const bell = new Bell();
  const watchers = history.watchers(selection);
  const stop = (): void => bell.wake();
  watchers.add(bell);
  signal.addEventListener("abort", stop);
  try {
    let position = after;
    while (!signal.aborted) {
      const event = history.next(selection, position);
      if (event !== undefined) {
        position = revisionOf(event);
        const within = event.kind === "bookmark" || selection.namespace === undefined;
        if (within || event.stored.key.namespace === selection.namespace) yield event;
        continue;
      }
      // Nothing of this resource is newer, so the watch is as far as the whole store.
      position = history.revision;
      if (bell.takeBookmark()) yield { kind: "bookmark", revision: position };
      else await bell.wait();
    }
  } finally {
    watchers.delete(bell);
    signal.removeEventListener("abort", stop);
  }
}

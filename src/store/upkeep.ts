import type { Clock } from "#base/clock.ts";
import type { History } from "./history.ts";

/** Milliseconds between bookmarks to watches, unless told. */
const bookmarkEveryMs = 30_000;

/** What a store does again and again. */
export interface Upkeep {
  readonly clock: Clock;
  /** Its watches get bookmarks. */
  readonly history: History;
  /** Milliseconds between bookmarks; 30 s unless told. */
  readonly bookmarkEveryMs?: number | undefined;
  /** What else it does, and milliseconds between two times. */
  readonly tasks: readonly { readonly everyMs: number; readonly run: () => void }[];
}

/** Looks after a store until disposed of. */
export function upkeep({ clock, history, bookmarkEveryMs: everyMs = bookmarkEveryMs, tasks }: Upkeep): Disposable {
  const bookmarks = (): void => {
    for (const watcher of history.allWatchers()) watcher.bookmark();
  };
  const timers = new DisposableStack();
  timers.use(clock.every(everyMs, bookmarks));
  for (const { everyMs, run } of tasks) timers.use(clock.every(everyMs, run));
  return timers;
}

import { At } from "./base.ts";
import type { Message } from "./message.ts";
import type { News, Standing } from "./pushes.ts";
import type { ScopeStore } from "./store.ts";
import { mayHide, type View } from "./view.ts";

/** Points of which something is remembered. */
const mostPoints = 1024;

/**
 * What clients get that stand at one point, and about whom nothing is special: worked out once until the next change. A
 * point is what a view's parts were that have changed since, so that clients whose views differ in other parts share it.
 */
export class Points {
  readonly #store: ScopeStore;
  readonly #known = new Map<string, News>();
  #changes = -1;

  constructor(store: ScopeStore) {
    this.#store = store;
  }

  /** Of the delta variant: what is known for a client, or what is worked out and is then known for others. */
  news(standing: Standing, workOut: () => News): News {
    const key = keyOf(standing);
    if (key === undefined) return workOut();
    if (this.#changes !== this.#store.changes || this.#known.size > mostPoints) this.#known.clear();
    this.#changes = this.#store.changes;
    const known = this.#known.get(key);
    if (known && isLater(known.message, standing.after) && !returns(standing.view, known)) return known;
    const news = workOut();
    this.#known.set(key, news);
    return news;
  }
}

function isLater(message: Message | undefined, after: number): boolean {
  return message === undefined || message.serial > after;
}

/** Whether what goes with one part of a view is in another, which is no news of the parts that changed alone. */
function returns(view: View, { difference: { removed } }: News): boolean {
  for (const name of removed) if (view.get(name)) return true;
  return false;
}

/** Undefined where what the client gets is its own. */
function keyOf({ view, base, ...standing }: Standing): string | undefined {
  const { forced, gone, kept, missing, mustAnswer, refusals, removals, tried } = standing;
  if (mustAnswer || kept.size + refusals.size + tried.size > 0) return undefined;
  if (!(base instanceof At)) return undefined;
  const own = `${forced.id} ${missing.id} ${gone.id} ${removals}`;
  // Whoever asks for more stands in one view and is to get another.
  if (base.shown !== view) return view.shared ? `${base.key} ${view.key} ${own}` : undefined;
  // What is forced or left out may be of any part; and where parts hide each other, all of them count.
  if (forced.size + missing.size > 0 || mayHide(view)) return view.shared ? `${base.key} ${own}` : undefined;
  let key = own;
  for (const part of view.parts) {
    if (part.revision > base.revision) key += ` ${part.key} ${part.positionAt(base.revision)}`;
  }
  return key;
}

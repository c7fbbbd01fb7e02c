import type { Kept } from "./base.ts";
import type { NameSet } from "./names.ts";
import type { Past, Shown } from "./shown.ts";

/** Resources that a client keeps for longer than needed, so many at most. */
const mostKept = 256;

/** What one client holds of one type and its view no longer shows; it is taken away when nothing uses it any more. */
export class Leftovers {
  readonly #kept = new Map<string, Past | undefined>();
  #since = 0;

  get size(): number {
    return this.#kept.size;
  }

  /** Whether it is so much that it should not wait for another occasion. */
  get isMuch(): boolean {
    return this.#kept.size > mostKept;
  }

  /** The revision in which the last of it was gone. */
  get since(): number {
    return this.#since;
  }

  /** As a part of what the client holds. */
  get kept(): Kept {
    return this.#kept;
  }

  /** These are gone since a revision, and stay with the client for now. */
  keep(names: NameSet, past: ReadonlyMap<string, Past>, revision: number): void {
    if (names.size === 0) return;
    for (const name of names) this.#kept.set(name, past.get(name));
    this.#since = revision;
  }

  /** Whether these were taken away is not known. */
  doubt(names: NameSet): void {
    for (const name of names) if (!this.#kept.has(name)) this.#kept.set(name, undefined);
  }

  /** These are asked for no longer: the client has dropped them by itself. */
  forget(names: NameSet): void {
    if (this.#kept.size > 0) for (const name of names) this.#kept.delete(name);
  }

  /** Whether some of it is back. */
  isBack(view: Shown): boolean {
    for (const name of this.#kept.keys()) if (view.get(name)) return true;
    return false;
  }

  /** What is back is no leftover any more. */
  takeBack(view: Shown): void {
    for (const name of this.#kept.keys()) if (view.get(name)) this.#kept.delete(name);
  }

  /** What did not come back is let go. Returns the names of it that are still asked for. */
  letGo(view: Shown): readonly string[] {
    const gone = [...this.#kept.keys()].filter((name) => !view.get(name));
    for (const name of gone) this.#kept.delete(name);
    return gone.filter((name) => view.asksFor(name));
  }
}

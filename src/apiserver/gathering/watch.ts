import type { Clock } from "#base/clock.ts";
import type { WatchOptions } from "../registry/watch.ts";
import { statusOf } from "../status.ts";
import type { GatheredKind } from "./kind.ts";
import { eventObject, tooOld, type Wanted } from "./shapes.ts";
import type { Change, GatheredObject } from "./state.ts";

/** A watch. */
export interface Watching {
  readonly kind: GatheredKind;
  readonly matches: (object: GatheredObject) => boolean;
  readonly wanted: Wanted;
  readonly options: WatchOptions;
  readonly apiVersion: string;
  /** What the kind is called. */
  readonly name: string;
  readonly clock: Clock;
}

/** Milliseconds between bookmarks. */
const bookmarkMs = 60_000;

/** Writes the lines of a watch: columns come with the first row only. */
class Lines {
  readonly #watching: Watching;
  #first = true;

  constructor(watching: Watching) {
    this.#watching = watching;
  }

  event({ type, row }: Change): string {
    const { kind, wanted } = this.#watching;
    const object = eventObject(row, this.#first ? kind.columns : [], wanted);
    this.#first = false;
    return `${JSON.stringify({ type, object })}\n`;
  }

  bookmark(version: number, initialEnd = false): string {
    const { wanted, apiVersion, name } = this.#watching;
    const annotations = initialEnd ? { "k8s.io/initial-events-end": "true" } : undefined;
    const metadata = { resourceVersion: wanted.shown(version), ...(annotations && { annotations }) };
    const object = { kind: name, apiVersion, metadata };
    return `${JSON.stringify({ type: "BOOKMARK", object })}\n`;
  }

  error(error: unknown): string {
    return `${JSON.stringify({ type: "ERROR", object: statusOf(error) })}\n`;
  }
}

/** Where a watch begins, and what it tells first. @throws ApiError. */
async function begin(
  { kind, matches, options }: Watching,
  lines: Lines,
  signal: AbortSignal,
): Promise<{ readonly after: number; readonly initial: readonly string[] }> {
  if (!options.initial && options.after !== 0) {
    const after = kind.version(options.after);
    if (after === undefined) throw tooOld(String(options.after));
    return { after, initial: [] };
  }
  const { rows, version } = await kind.gather(signal);
  if (!options.initial) return { after: version, initial: [] };
  const chosen = rows.filter(({ object }) => matches(object));
  const initial = chosen.map((row) => lines.event({ type: "ADDED", row }));
  return { after: version, initial: options.tellEnd ? [...initial, lines.bookmark(version, true)] : initial };
}

/** The events of a watch, one JSON text a line; what goes wrong is an event too. */
export async function* watchLines(watching: Watching, gone: AbortSignal): AsyncGenerator<string, void, void> {
  const { kind, matches, options, clock } = watching;
  const ended = new AbortController();
  using _timer = clock.after(options.timeoutSeconds * 1000, () => ended.abort());
  const signal = AbortSignal.any([gone, ended.signal]);
  const lines = new Lines(watching);
  try {
    const { after, initial } = await begin(watching, lines, signal);
    if (initial.length > 0) yield initial.join("");
    using _following = kind.follow();
    let [told, marked] = [after, clock.now()];
    while (!signal.aborted) {
      if (!kind.state.knows(told)) throw tooOld(kind.shown(told));
      const { version } = kind.state;
      const changes = kind.state.since(told, matches).map((change) => lines.event(change));
      told = version;
      if (changes.length > 0) yield changes.join("");
      if (options.bookmarks && clock.now() - marked >= bookmarkMs) {
        marked = clock.now();
        yield lines.bookmark(told);
      }
      if (kind.state.version === told) await kind.asked(signal);
    }
  } catch (error) {
    if (!signal.aborted) yield lines.error(error);
  }
}

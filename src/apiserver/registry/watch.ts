import { codeOf } from "#base/errors.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { StoreEvent } from "#store/port.ts";
import { selectionOf, type Context } from "../context.ts";
import { count, flag } from "../options.ts";
import { renderBookmark, renderEvent, type View } from "../output/render.ts";
import type { Selector } from "../selectors/selector.ts";
import { ApiError, statusOf } from "../status.ts";
import { checkVersionMatch, parseRevision } from "./resource-version.ts";
import type { Target } from "./target.ts";

/** A watch that names no end is ended after a time between this and twice it, so that clients spread over servers. */
const defaultTimeoutSeconds = 1800;

/** Longer than any watch lives, and still a time that a timer can have. */
const maxTimeoutSeconds = 24 * 3600;

/** What a watch is asked for. */
export interface WatchOptions {
  /** Begin with what there is. */
  readonly initial: boolean;
  /** Tell by a bookmark when all of that was sent. */
  readonly tellEnd: boolean;
  /** Changes after this revision, where the watch does not begin with what there is. */
  readonly after: number;
  readonly bookmarks: boolean;
  readonly timeoutSeconds: number;
}

/** Reads Kubernetes' options of watches. @throws ApiError. */
export function parseWatchOptions(query: URLSearchParams, random = Math.random): WatchOptions {
  checkVersionMatch(query);
  const after = parseRevision(query.get("resourceVersion") ?? "");
  const asked = flag(query, "sendInitialEvents");
  const bookmarks = flag(query, "allowWatchBookmarks");
  // Asked not to send it, a watch without a version begins now.
  const declined = query.has("sendInitialEvents") && !asked;
  return {
    initial: asked || (after === 0 && !declined),
    tellEnd: asked && bookmarks,
    after,
    bookmarks,
    timeoutSeconds: Math.min(
      count(query, "timeoutSeconds") || Math.floor(defaultTimeoutSeconds * (1 + random())),
      maxTimeoutSeconds,
    ),
  };
}

/** What a change is to a watch that selects objects. */
function outcome(
  event: Exclude<StoreEvent, { kind: "bookmark" }>,
  selector: Selector,
): [string, ResourceObject] | undefined {
  if (event.kind === "delete") {
    const { object } = event.stored;
    return selector.matches(object) ? ["DELETED", at(object, event.revision)] : undefined;
  }
  const { object } = event.stored;
  const before = event.previous !== undefined && selector.matches(event.previous.object);
  if (selector.matches(object)) return [before ? "MODIFIED" : "ADDED", object];
  // It does not match any more: for this watch it is gone, as it was when it matched.
  return before && event.previous !== undefined
    ? ["DELETED", at(event.previous.object, event.stored.revision)]
    : undefined;
}

/** An object as it was, with the revision that took it away. */
function at(object: ResourceObject, revision: number): ResourceObject {
  return { ...object, metadata: { ...object.metadata, resourceVersion: String(revision) } };
}

/** Writes the lines of a watch. */
class Lines {
  readonly #view: () => View;
  #first = true;

  constructor(view: () => View) {
    this.#view = view;
  }

  event(type: string, object: ResourceObject): string {
    const text = renderEvent(this.#view(), object, this.#first);
    this.#first = false;
    return `{"type":"${type}","object":${text}}\n`;
  }

  bookmark(revision: number, initialEnd = false): string {
    const annotations = initialEnd ? { "k8s.io/initial-events-end": "true" } : undefined;
    return `{"type":"BOOKMARK","object":${renderBookmark(this.#view(), revision, annotations)}}\n`;
  }

  error(error: unknown): string {
    return `{"type":"ERROR","object":${JSON.stringify(statusOf(error))}}\n`;
  }
}

/** The revision after which changes follow, and the lines that come before them. */
async function begin(
  context: Context,
  target: Target,
  selector: Selector,
  options: WatchOptions,
  lines: Lines,
): Promise<{ readonly after: number; readonly initial: readonly string[] }> {
  if (!options.initial) return { after: options.after || (await context.store.revision()), initial: [] };
  const page = await context.store.list(selectionOf(context, target.kind, target.namespace));
  const objects = page.items.map(({ object }) => object).filter((object) => selector.matches(object));
  const initial = objects.map((object) => lines.event("ADDED", object));
  if (options.tellEnd) initial.push(lines.bookmark(page.revision, true));
  return { after: page.revision, initial };
}

/**
 * The events of a watch, one JSON text a line. What goes wrong once it has begun is an event too: `Expired` tells the
 * client to list again.
 * @param view how objects are shown; asked for each event, since ages go on.
 */
export async function* watch(
  context: Context,
  target: Target,
  selector: Selector,
  options: WatchOptions,
  view: () => View,
  signal: AbortSignal,
): AsyncGenerator<string, void, void> {
  const ended = new AbortController();
  using _timer = context.clock.after(options.timeoutSeconds * 1000, () => ended.abort());
  const lines = new Lines(view);
  const { after, initial } = await begin(context, target, selector, options, lines);
  if (initial.length > 0) yield initial.join("");
  try {
    const selection = selectionOf(context, target.kind, target.namespace);
    for await (const event of context.store.watch(selection, after, AbortSignal.any([signal, ended.signal]))) {
      if (event.kind === "bookmark") {
        if (options.bookmarks) yield lines.bookmark(event.revision);
        continue;
      }
      const told = outcome(event, selector);
      if (told !== undefined) yield lines.event(...told);
    }
  } catch (error) {
    const gone = codeOf(error) === "Gone";
    yield lines.error(gone ? new ApiError("Expired", `too old resource version: ${after}`) : error);
  }
}

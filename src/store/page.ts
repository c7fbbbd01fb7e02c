import { WeftError } from "#base/errors.ts";
import type { History } from "./history.ts";
import { parsePageToken, writePageToken } from "./page-token.ts";
import type { ListOptions, Page, Selection } from "./port.ts";

/** A page of what a history holds, as `ResourceStore.list` promises it. @throws WeftError as there. */
export function pageOf(history: History, selection: Selection, options: ListOptions): Page {
  const token = options.next === undefined ? undefined : parsePageToken(options.next, selection);
  const current = history.revision;
  const revision = options.newest === true ? current : (token?.revision ?? options.at ?? current);
  if (revision > current) throw new WeftError("InvalidArgument", `revision ${revision} is not reached yet`);
  if (revision < history.compacted) throw new WeftError("Gone", `revision ${revision} is no longer kept`);
  const { limit = Number.POSITIVE_INFINITY, matches } = options;
  const { items, remaining } = history.slice(selection, { revision, after: token?.after, limit, matches });
  const last = items.at(-1);
  if (remaining === 0 || last === undefined) return { items, revision };
  return { items, revision, remaining, next: writePageToken(selection, revision, last.key) };
}

import { codeOf } from "#base/errors.ts";
import type { ResourceObject } from "#api/meta.ts";
import type { ListOptions, Page } from "#store/port.ts";
import { selectionOf, type Context } from "../context.ts";
import { count } from "../options.ts";
import type { ListMeta } from "../output/render.ts";
import type { Selector } from "../selectors/selector.ts";
import { ApiError } from "../status.ts";
import { parseContinue, writeContinue, type Continuation } from "./continue-token.ts";
import { checkVersionMatch, notReached, parseRevision } from "./resource-version.ts";
import type { Target } from "./target.ts";

/** A list's objects with its metadata. */
export interface Listed {
  readonly objects: readonly ResourceObject[];
  readonly metadata: ListMeta;
}

interface Reading {
  readonly limit: number | undefined;
  readonly continuation: Continuation | undefined;
  /** The revision to read at; the newest unless told. */
  readonly at: number | undefined;
}

/** Kubernetes' rules of `resourceVersion`, `resourceVersionMatch`, `limit` and `continue`. */
async function parseReading(context: Context, query: URLSearchParams): Promise<Reading> {
  const limit = count(query, "limit") || undefined;
  const version = query.get("resourceVersion") ?? "";
  const match = checkVersionMatch(query);
  const token = query.get("continue") ?? "";
  if (token !== "") {
    if (version !== "" && version !== "0") {
      throw new ApiError("BadRequest", "specifying resource version is not allowed when using continue");
    }
    return { limit, continuation: parseContinue(token), at: undefined };
  }
  const revision = parseRevision(version);
  const newest = await context.store.revision();
  if (revision > newest) throw notReached(revision, newest);
  // Without a match, a version with a limit means exactly that version: the way of clients from before there were matches.
  const exact = match === "Exact" || (match === "" && revision > 0 && limit !== undefined);
  return { limit, continuation: undefined, at: exact ? revision : undefined };
}

/** A page whose past is forgotten can only be had as it is now: the client gets a token for that. */
function expired(continuation: Continuation): ApiError {
  return new ApiError(
    "Expired",
    "The continue token is too old: the state that the list began with is no longer kept. List again from the start, or go on with the token in this answer, where objects that changed since may be missing or appear twice",
    { continue: writeContinue({ ...continuation, newest: true }) },
  );
}

async function readPage(context: Context, target: Target, reading: Reading, options: ListOptions): Promise<Page> {
  try {
    return await context.store.list(selectionOf(context, target.kind, target.namespace), options);
  } catch (error) {
    if (codeOf(error) !== "Gone") throw error;
    if (reading.continuation !== undefined) throw expired(reading.continuation);
    throw new ApiError("Expired", `The provided resource version is too old: ${reading.at ?? 0}`);
  }
}

/**
 * Reads a list, or a page of it.
 * @throws ApiError `Expired` when the version or the token is too old, `Timeout` when the version is not reached yet.
 */
export async function list(
  context: Context,
  target: Target,
  selector: Selector,
  query: URLSearchParams,
): Promise<Listed> {
  const reading = await parseReading(context, query);
  const { limit, continuation, at } = reading;
  const page = await readPage(context, target, reading, {
    ...(limit === undefined ? {} : { limit }),
    ...(at === undefined ? {} : { at }),
    ...(continuation === undefined ? {} : { next: continuation.next, newest: continuation.newest }),
    ...(selector.everything ? {} : { matches: selector.matches }),
  });
  return { objects: page.items.map(({ object }) => object), metadata: metadataOf(page, selector) };
}

function metadataOf(page: Page, selector: Selector): ListMeta {
  const { revision, next, remaining } = page;
  return {
    resourceVersion: String(revision),
    ...(next === undefined ? {} : { continue: writeContinue({ next, newest: false }) }),
    // As in Kubernetes, which does not know how many of the rest would match.
    ...(remaining === undefined || remaining === 0 || !selector.everything ? {} : { remainingItemCount: remaining }),
  };
}

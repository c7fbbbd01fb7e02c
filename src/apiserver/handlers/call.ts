import type { IncomingMessage, ServerResponse } from "node:http";
import type { Context } from "../context.ts";
import type { Author } from "../user.ts";

/** One request, with what its handler needs. */
export interface Call {
  readonly context: Context;
  /** Who asks. */
  readonly by: Author;
  /** Nothing is there for who asks, and nothing is done. */
  readonly blind: boolean;
  readonly request: IncomingMessage;
  readonly response: ServerResponse;
  /** Upper case. */
  readonly method: string;
  readonly pathname: string;
  readonly query: URLSearchParams;
  /** Aborts when the client is gone. */
  readonly gone: AbortSignal;
  /** Aborts when the server is about to stop: what has no end of its own ends. */
  readonly draining: AbortSignal;
  /** Takes what the user should know; becomes `Warning` headers. */
  readonly warn: (message: string) => void;
}

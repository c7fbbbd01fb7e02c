import { ApiError } from "../status.ts";

/** Where a list goes on. */
export interface Continuation {
  /** The store's own token. */
  readonly next: string;
  /** Read on at the newest revision, because the list's own is forgotten. */
  readonly newest: boolean;
}

/** A `continue` token, opaque to clients. */
export function writeContinue({ next, newest }: Continuation): string {
  return `${newest ? "n" : "c"}.${next}`;
}

/** Reads a `continue` token. @throws ApiError `BadRequest`. */
export function parseContinue(token: string): Continuation {
  const [mark, next] = [token.slice(0, 2), token.slice(2)];
  if ((mark !== "c." && mark !== "n.") || next === "") {
    throw new ApiError("BadRequest", "continue key is not valid: it is not one that this server gave");
  }
  return { next, newest: mark === "n." };
}

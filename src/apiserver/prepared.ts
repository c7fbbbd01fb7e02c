import { createHash } from "node:crypto";
import type { Reply } from "./reply.ts";
import type { Call } from "./handlers/call.ts";

/** A document as it is sent, with the hash of its content. */
export interface Prepared {
  readonly text: string;
  /** Upper case. */
  readonly hash: string;
}

/** Makes a document ready to be sent again and again. */
export function prepare(document: unknown): Prepared {
  const text = JSON.stringify(document);
  return { text, hash: createHash("sha256").update(text).digest("hex").toUpperCase() };
}

/** Whether a client has a document already: one of the tags of its `If-None-Match` (RFC 9110, 13.1.2). */
function isKnown(header: string | undefined, etag: string): boolean {
  if (header === undefined) return false;
  return header.split(",").some((tag) => ["*", etag, `W/${etag}`].includes(tag.trim()));
}

/** A document, or nothing for a client that has it already. */
export function preparedReply(
  call: Call,
  { text, hash }: Prepared,
  type: string,
  more: Readonly<Record<string, string>> = {},
): Reply {
  const etag = `"${hash}"`;
  const headers = { Etag: etag, Vary: "Accept", ...more };
  const known = isKnown(call.request.headers["if-none-match"], etag);
  return { kind: "text", code: known ? 304 : 200, text: known ? "" : text, type, headers };
}

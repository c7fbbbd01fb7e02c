import { once } from "node:events";
import type { ServerResponse } from "node:http";
import { stringify } from "yaml";
import type { Encoding } from "./media.ts";

/** A value of an answer; `text` gives its JSON where that is at hand already. */
export interface Body {
  readonly value: unknown;
  readonly text?: () => string;
}

/** An answer, before it is written. */
export type Reply =
  | { readonly kind: "value"; readonly code: number; readonly body: Body; readonly encoding: Encoding }
  | {
      readonly kind: "text";
      readonly code: number;
      readonly text: string;
      readonly type: string;
      readonly headers?: Readonly<Record<string, string>>;
    }
  | {
      readonly kind: "stream";
      readonly type: string;
      /** Written as they come; taken only as fast as the client reads. */
      readonly chunks: AsyncIterable<string | Uint8Array>;
    }
  /** The handler writes the response itself: a relay to another server. */
  | { readonly kind: "relayed" };

/** An answer of JSON that has one shape only. */
export function json(value: unknown, code = 200, encoding: Encoding = "json"): Reply {
  return { kind: "value", code, body: { value }, encoding };
}

/** An answer of plain text. */
export function text(content: string, code = 200): Reply {
  return { kind: "text", code, text: content, type: "text/plain; charset=utf-8" };
}

/** As many characters of warnings as go into one answer; clients take only so much of headers. */
const warningLimit = 4_096;

/** Values of `Warning` headers (RFC 7234, 5.5), which kubectl prints. */
function warningHeaders(messages: readonly string[]): readonly string[] {
  const values: string[] = [];
  let length = 0;
  for (const message of new Set(messages)) {
    const plain = message.replaceAll(/[^\x20-\x7e]/g, " ").replaceAll(/["\\]/g, "\\$&");
    length += plain.length;
    if (length > warningLimit) break;
    values.push(`299 - "${plain}"`);
  }
  return values;
}

/** Writes an answer; resolves when all of it is handed to the connection, or the client is gone. */
export async function writeReply(response: ServerResponse, reply: Reply, warnings: readonly string[]): Promise<void> {
  if (reply.kind === "relayed") return;
  if (warnings.length > 0) response.setHeader("Warning", warningHeaders(warnings));
  response.setHeader("Cache-Control", "no-cache, private");
  switch (reply.kind) {
    case "value": {
      const { code, body, encoding } = reply;
      const content = encoding === "yaml" ? stringify(body.value) : (body.text?.() ?? JSON.stringify(body.value));
      return writeWhole(response, code, content, encoding === "yaml" ? "application/yaml" : "application/json");
    }
    case "text":
      for (const [name, value] of Object.entries(reply.headers ?? {})) response.setHeader(name, value);
      return writeWhole(response, reply.code, reply.text, reply.type);
    case "stream":
      return writeStream(response, reply.type, reply.chunks);
  }
}

function writeWhole(response: ServerResponse, code: number, content: string, type: string): void {
  const bytes = Buffer.from(content);
  response.writeHead(code, { "Content-Type": type, "Content-Length": bytes.length });
  response.end(bytes);
}

async function writeStream(
  response: ServerResponse,
  type: string,
  chunks: AsyncIterable<string | Uint8Array>,
): Promise<void> {
  response.writeHead(200, { "Content-Type": type });
  // The client learns that its watch has begun before the first event.
  response.flushHeaders();
  const closed = new AbortController();
  response.once("close", () => closed.abort());
  for await (const chunk of chunks) {
    if (closed.signal.aborted) return;
    if (response.write(chunk)) continue;
    await once(response, "drain", { signal: closed.signal }).catch(() => undefined);
  }
  response.end();
}

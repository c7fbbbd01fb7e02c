import { isAscii } from "node:buffer";
import { typeUrls } from "#proto/encoded.ts";

/** What most requests are: the answer to one response, and what is asked for, or not any more, because of it. */
export interface PlainRequest {
  readonly typeUrl: string;
  readonly nonce: string;
  readonly subscribe: readonly string[];
  readonly unsubscribe: readonly string[];
}

// Fields of `DeltaDiscoveryRequest`, all of them strings: type_url = 2, resource_names_subscribe = 3,
// resource_names_unsubscribe = 4, response_nonce = 6.
const typeTag = 0x12;
const subscribeTag = 0x1a;
const unsubscribeTag = 0x22;
const nonceTag = 0x32;

/** Bytes of the longest that is read here: limits are for longer ones. */
const longest = 2048;

const served: ReadonlySet<string> = new Set(Object.values(typeUrls));
const none: readonly string[] = [];

/**
 * Reads a short `DeltaDiscoveryRequest` of a served type that holds nothing but names and a nonce. Each change is answered
 * by each proxy in this form: to read it as any message costs more than to send the change.
 * @returns undefined for any other, which is read as a message.
 */
export function readPlain(bytes: Buffer): PlainRequest | undefined {
  if (bytes.length > longest) return undefined;
  let typeUrl = "";
  let nonce = "";
  let subscribe: string[] | undefined;
  let unsubscribe: string[] | undefined;
  let at = 0;
  while (at < bytes.length) {
    const length = bytes[at + 1] ?? 0x80;
    const end = at + 2 + length;
    // Hardly a name has a length of two bytes.
    if (length >= 0x80 || end > bytes.length) return undefined;
    const text = bytes.toString("latin1", at + 2, end);
    if (bytes[at] === typeTag) typeUrl = text;
    else if (bytes[at] === nonceTag) nonce = text;
    else if (bytes[at] === subscribeTag) (subscribe ??= []).push(text);
    else if (bytes[at] === unsubscribeTag) (unsubscribe ??= []).push(text);
    else return undefined;
    at = end;
  }
  if (!served.has(typeUrl) || !isAscii(bytes)) return undefined;
  return { typeUrl, nonce, subscribe: subscribe ?? none, unsubscribe: unsubscribe ?? none };
}

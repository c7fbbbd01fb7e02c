import { isAscii } from "node:buffer";
import { typeUrls } from "#proto/encoded.ts";

/** What most requests are: the answer to one response, and nothing else. */
export interface Ack {
  readonly typeUrl: string;
  readonly nonce: string;
}

// `DeltaDiscoveryRequest`: type_url = 2, response_nonce = 6, both strings.
const typeTag = 0x12;
const nonceTag = 0x32;

const served: ReadonlySet<string> = new Set(Object.values(typeUrls));

/**
 * Reads a `DeltaDiscoveryRequest` that holds a served type and a nonce and nothing else. Each change is answered by
 * each proxy in this form: to read it as any message costs more than to send the change.
 * @returns undefined for any other, which is read as a message.
 */
export function readAck(bytes: Buffer): Ack | undefined {
  let typeUrl = "";
  let nonce = "";
  let at = 0;
  while (at < bytes.length) {
    const length = bytes[at + 1] ?? 0x80;
    const end = at + 2 + length;
    // A length of two bytes is none of an acknowledgement's.
    if (length >= 0x80 || end > bytes.length) return undefined;
    if (bytes[at] === typeTag) typeUrl = bytes.toString("latin1", at + 2, end);
    else if (bytes[at] === nonceTag) nonce = bytes.toString("latin1", at + 2, end);
    else return undefined;
    at = end;
  }
  return served.has(typeUrl) && isAscii(bytes) ? { typeUrl, nonce } : undefined;
}

import { request as httpsRequest } from "node:https";
import type { IncomingMessage } from "node:http";
import { WeftError } from "#base/errors.ts";
import type { FetchText } from "./remote-keys.ts";

/** The largest document that is taken, in bytes. */
const maxBytes = 256 * 1024;

const timeoutMs = 5_000;

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let length = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    length += chunk.length;
    if (length > maxBytes) throw new WeftError("Unavailable", `the document is larger than ${maxBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

/**
 * Fetches documents over https, within five seconds and 256 KiB; redirects are not followed.
 * @param ca authorities in PEM; the system's unless told.
 */
export function documentFetcher(ca: string | undefined): FetchText {
  return async (url) => {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const options = { agent: false, signal: AbortSignal.timeout(timeoutMs), ...(ca === undefined ? {} : { ca }) };
    const sent = httpsRequest(url, options, resolve);
    sent.on("error", reject);
    sent.end();
    try {
      const response = await promise;
      if (response.statusCode === 200) return await textOf(response);
      throw new WeftError("Unavailable", `${url} answered ${response.statusCode ?? 0}`);
    } catch (error) {
      if (error instanceof WeftError) throw error;
      throw new WeftError("Unavailable", `${url} cannot be fetched`, error);
    } finally {
      sent.destroy();
    }
  };
}

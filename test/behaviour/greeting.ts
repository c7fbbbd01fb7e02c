import type { Duplex } from "node:stream";

/** The first bytes that a peer sends, less the white space around them, or nothing when it closes; ends the connection. */
export async function greeting(stream: Duplex): Promise<string> {
  const { promise, resolve } = Promise.withResolvers<string>();
  stream.once("data", (chunk: Buffer) => resolve(String(chunk).trim()));
  stream.once("close", () => resolve(""));
  stream.on("error", () => resolve(""));
  const text = await promise;
  stream.destroy();
  return text;
}

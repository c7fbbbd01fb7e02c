import { type Agent, type IncomingHttpHeaders, request } from "node:http";
import { WeftError } from "#base/errors.ts";

/** An answer of a program of the Pod. */
export interface LocalAnswer {
  readonly status: number;
  readonly type: string;
  readonly body: Buffer;
}

/** How a program of the Pod is asked. */
export interface LocalRequest {
  readonly method?: "GET" | "POST";
  readonly headers?: IncomingHttpHeaders;
  /** Opens and keeps connections, as into another network; each question has one of its own unless told. */
  readonly agent?: Agent;
  /** Milliseconds until there must be an answer; 5 seconds unless told. */
  readonly timeoutMs?: number;
  /** Bytes that an answer may have; more is a failure. 10 MiB unless told. */
  readonly mostBytes?: number;
}

/**
 * Asks a program of the Pod by HTTP.
 * @throws WeftError `Unavailable` when there is no answer in time, `ResourceExhausted` when it is too long.
 */
export function askLocal(url: string, asked: LocalRequest = {}): Promise<LocalAnswer> {
  const { method = "GET", headers = {}, agent, timeoutMs = 5000, mostBytes = 10 * 1024 * 1024 } = asked;
  return new Promise((resolve, reject) => {
    const fail = (error: Error): void =>
      reject(error instanceof WeftError ? error : new WeftError("Unavailable", `${url} does not answer`, error));
    const own = agent ? { headers, agent } : { headers: { ...headers, connection: "close" }, agent: false };
    const call = request(url, { method, ...own });
    call.setTimeout(timeoutMs, () => call.destroy(new Error(`no answer within ${timeoutMs} ms`)));
    call.once("error", fail);
    call.once("response", (response) => {
      const chunks: Buffer[] = [];
      let length = 0;
      response.on("data", (chunk: Buffer) => {
        chunks.push(chunk);
        length += chunk.length;
        if (length > mostBytes)
          call.destroy(new WeftError("ResourceExhausted", `${url} answers with over ${mostBytes} bytes`));
      });
      response.once("error", fail);
      response.once("end", () => {
        const { statusCode: status = 500, headers: told } = response;
        resolve({ status, type: told["content-type"] ?? "", body: Buffer.concat(chunks) });
      });
    });
    call.end();
  });
}

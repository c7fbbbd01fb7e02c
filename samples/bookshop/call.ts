import { Agent, request } from "node:http";
import type { IncomingHttpHeaders, IncomingMessage } from "node:http";
import { connect } from "node:net";

/**
 * Headers that a service passes on, so that the calls of one visit can be told to belong together, and so that
 * routes can be chosen by who visits.
 */
const passed = [
  "x-request-id",
  "traceparent",
  "tracestate",
  "baggage",
  "b3",
  "x-b3-traceid",
  "x-b3-spanid",
  "x-b3-parentspanid",
  "x-b3-sampled",
  "x-b3-flags",
  "end-user",
];

/** The headers of a request that go with the calls it causes. */
export function passedHeaders(headers: IncomingHttpHeaders): Record<string, string> {
  const found: Record<string, string> = {};
  for (const name of passed) {
    const value = headers[name];
    if (typeof value === "string") found[name] = value;
  }
  return found;
}

/** A part of an answer that could not be had; the status is that of the response, where there was one. */
export interface Failure {
  readonly error: string;
  readonly status: number | null;
}

/** What a service that was called answered, or why it did not. */
export type Part<T> = (T & { readonly status: number }) | Failure;

/** Milliseconds that a call may take; longer than the timeouts one would set on a route. */
export const callTimeoutMs = 10_000;

// Idle connections are given up sooner than a proxy would close them, so that no call meets a closing one.
const agent = new Agent({ keepAlive: true, maxSockets: 256, maxFreeSockets: 16, timeout: 60_000 });

async function textOf(response: IncomingMessage): Promise<string> {
  let text = "";
  response.setEncoding("utf8");
  for await (const part of response as AsyncIterable<string>) text += part;
  return text;
}

/** Why a call failed, as a part of an answer. */
export function failure(error: unknown, status: number | null = null): Failure {
  return { error: error instanceof Error ? error.message : String(error), status };
}

/** Gets JSON from another service. Never throws, never tries again. */
export async function callHttp<T>(url: string, headers: Readonly<Record<string, string>>): Promise<Part<T>> {
  let status: number | null = null;
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const signal = AbortSignal.timeout(callTimeoutMs);
      request(url, { agent, headers, signal }).once("response", resolve).on("error", reject).end();
    });
    status = response.statusCode ?? 0;
    const text = await textOf(response);
    if (status === 200) return { ...(JSON.parse(text) as T), status };
    return failure(`${status} ${response.statusMessage ?? ""}: ${text.trim().slice(0, 200)}`, status);
  } catch (error) {
    return failure(error, status);
  }
}

/** Sends one line over a new TCP connection and returns the JSON of the line that comes back. Never throws. */
export async function callLine<T>(address: string, line: string): Promise<Part<T>> {
  const [host = "", port = ""] = address.split(":");
  const socket = connect({ host, port: Number(port) });
  socket.setTimeout(callTimeoutMs, () => socket.destroy(new Error("no answer in time")));
  socket.setEncoding("utf8");
  try {
    socket.write(`${line}\n`);
    let text = "";
    for await (const part of socket as AsyncIterable<string>) {
      text += part;
      if (text.includes("\n")) return { ...(JSON.parse(text) as T), status: 200 };
    }
    return failure("the connection was closed without an answer");
  } catch (error) {
    return failure(error);
  } finally {
    socket.destroy();
  }
}

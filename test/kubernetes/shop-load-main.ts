/**
 * Runs in a container: sends a steady load to URLs, 30 requests a second each unless `PER_SECOND` says another number, over kept connections and without retries, and keeps in
 * /tmp/load.json what came of them.
 *
 *     node shop-load-main.ts details=http://details:9080/details/emma ...
 */
import { renameSync, writeFileSync } from "node:fs";
import { Agent, request } from "node:http";
import type { IncomingMessage } from "node:http";

const perSecond = Number(process.env["PER_SECOND"] ?? 30);
const tickMs = 5;
/** Requests that were due while the process was held up are sent at once, but not more than these. */
const mostArrears = 30;
const timeoutMs = 10_000;

const agent = new Agent({ keepAlive: true, maxSockets: 64 });
/** Outcomes by what was called: `200 v1 east`, `503`, `reset`, `timeout`, ... */
const counts: Record<string, Record<string, number>> = {};
/** When the newest request with each outcome began, in milliseconds since the epoch. */
const last: Record<string, Record<string, number>> = {};

function failure(error: NodeJS.ErrnoException): string {
  if (error.name === "TimeoutError" || error.name === "AbortError") return "timeout";
  return error.code === "ECONNRESET" || error.code === "EPIPE" ? "reset" : `failed ${error.code ?? error.message}`;
}

async function outcome(url: string): Promise<string> {
  try {
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      const signal = AbortSignal.timeout(timeoutMs);
      request(url, { agent, signal }).once("response", resolve).on("error", reject).end();
    });
    let text = "";
    for await (const part of response as AsyncIterable<Buffer>) text += part.toString();
    if (response.statusCode !== 200) return String(response.statusCode);
    const { version, cluster } = JSON.parse(text) as { readonly version: string; readonly cluster: string };
    return `200 ${version} ${cluster}`;
  } catch (error) {
    return failure(error as NodeJS.ErrnoException);
  }
}

async function once(name: string, url: string): Promise<void> {
  const of = (counts[name] ??= {});
  const newest = (last[name] ??= {});
  const began = Date.now();
  const result = await outcome(url);
  of[result] = (of[result] ?? 0) + 1;
  newest[result] = Math.max(newest[result] ?? 0, began);
}

for (const target of process.argv.slice(2)) {
  const [name = "", url = ""] = target.split("=");
  let last = performance.now();
  let due = 0;
  setInterval(() => {
    const now = performance.now();
    due = Math.min(mostArrears, due + ((now - last) * perSecond) / 1000);
    last = now;
    for (; due >= 1; due -= 1) void once(name, url);
  }, tickMs);
}
setInterval(() => {
  writeFileSync("/tmp/load.new", JSON.stringify({ at: Date.now(), counts, last }));
  renameSync("/tmp/load.new", "/tmp/load.json");
}, 100);
process.once("SIGTERM", () => process.exit(0));

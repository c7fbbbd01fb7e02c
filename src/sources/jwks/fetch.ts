import { lookup } from "node:dns";
import { get as getHttp, type IncomingMessage } from "node:http";
import { get as getHttps } from "node:https";
import { BlockList, isIP, isIPv6, type LookupFunction } from "node:net";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";

/** What a fetch may cost. */
export interface FetchLimits {
  /** Milliseconds for all of it, redirects too. */
  readonly timeoutMs: number;
  /** Bytes of the answer. */
  readonly mostBytes: number;
  readonly mostRedirects: number;
}

/**
 * Addresses at which clouds tell a machine its own secrets: users of the mesh name the URLs that the control plane
 * fetches, and must not read these through it. Istio's control plane leaves out the same.
 */
const forbidden = new BlockList();
forbidden.addSubnet("169.254.0.0", 16, "ipv4");
forbidden.addAddress("100.100.100.200", "ipv4");
forbidden.addSubnet("fe80::", 10, "ipv6");
forbidden.addAddress("fd00:ec2::254", "ipv6");

function isForbidden(address: string): boolean {
  return isIP(address) !== 0 && forbidden.check(address, isIPv6(address) ? "ipv6" : "ipv4");
}

function refusal(what: string): WeftError {
  return new WeftError("FailedPrecondition", what);
}

/** Looks a name up as Node does, and finds nothing where an address is forbidden. */
const guardedLookup: LookupFunction = (host, options, done) => {
  lookup(host, options, (error, address, family) => {
    const all =
      typeof address === "string"
        ? [address]
        : (address as { address: string }[] | undefined)?.map((each) => each.address);
    const bad = error ? undefined : all?.find(isForbidden);
    if (bad === undefined) done(error, address, family);
    else done(refusal(`${host} has the address ${bad}, which is not called`), "");
  });
};

function request(url: URL, signal: AbortSignal): Promise<IncomingMessage> {
  const host = url.hostname.replace(/^\[|\]$/g, "");
  if (isForbidden(host)) return Promise.reject(refusal(`the address ${host} is not called`));
  const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
  const get = url.protocol === "https:" ? getHttps : getHttp;
  // A connection of its own, so that nothing is held between fetches.
  get(url, { signal, agent: false, lookup: guardedLookup, headers: { accept: "application/json" } }, resolve).once(
    "error",
    reject,
  );
  return promise;
}

async function textOf(answer: IncomingMessage, mostBytes: number): Promise<string> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of answer as AsyncIterable<Uint8Array>) {
    size += chunk.length;
    if (size > mostBytes) throw refusal(`the answer has more than ${mostBytes} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString("utf8");
}

/** Where an answer leads to; undefined for one that is no redirect. */
function redirectOf({ statusCode = 0, headers }: IncomingMessage, url: URL): URL | undefined {
  if (statusCode < 300 || statusCode > 399 || headers.location === undefined) return undefined;
  const next = URL.parse(headers.location, url.href);
  if (next?.protocol !== "https:" && (next?.protocol !== "http:" || url.protocol === "https:")) {
    throw refusal(`it redirects to ${headers.location}, which is not followed`);
  }
  return next;
}

async function follow(start: URL, { mostBytes, mostRedirects }: FetchLimits, signal: AbortSignal): Promise<string> {
  let url = start;
  for (let redirects = 0; redirects <= mostRedirects; redirects += 1) {
    const answer = await request(url, signal);
    try {
      const next = redirectOf(answer, url);
      if (!next) {
        if (answer.statusCode !== 200) throw refusal(`${url.host} answers ${answer.statusCode ?? "nothing"}`);
        return await textOf(answer, mostBytes);
      }
      url = next;
    } finally {
      answer.destroy();
    }
  }
  throw refusal(`it redirects more than ${mostRedirects} times`);
}

/**
 * Gets a text by HTTP or HTTPS, within limits.
 * @throws Error that says why there is none.
 */
export async function fetchText(url: string, limits: FetchLimits, clock: Clock, signal: AbortSignal): Promise<string> {
  const late = new AbortController();
  using _timer = clock.after(limits.timeoutMs, () => late.abort());
  try {
    return await follow(new URL(url), limits, AbortSignal.any([signal, late.signal]));
  } catch (error) {
    if (late.signal.aborted) throw refusal(`there is no whole answer after ${limits.timeoutMs} ms`);
    throw error;
  }
}

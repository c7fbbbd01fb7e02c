import { Agent, request } from "node:http";
import type { IncomingMessage } from "node:http";

/** What came of one request. Anything but a whole response is a failure by kind; there are no retries. */
export type Outcome =
  | {
      readonly kind: "response";
      readonly status: number;
      readonly body?: string;
      readonly headers: IncomingMessage["headers"];
    }
  | { readonly kind: "timeout" | "reset" | "refused" | "failed"; readonly message: string };

/** One request, done. */
export interface Result {
  /** Milliseconds since the epoch at which it was due. */
  readonly at: number;
  /** Milliseconds from when it was due until its response had been read. */
  readonly ms: number;
  readonly outcome: Outcome;
}

/** What may be changed while a generator runs. */
export interface LoadTarget {
  /** `http://` and a loopback address, with the path. */
  readonly url: string;
  /** Requests a second, at most 10,000. */
  readonly rps: number;
  /** Requests in flight at once, at most 1,024; those due beyond it are skipped and counted. */
  readonly concurrency: number;
  /** Milliseconds until a request is given up. */
  readonly timeoutMs: number;
  readonly headers: Readonly<Record<string, string>>;
}

/** Who is told, and what of the responses is kept. */
export interface LoadObserver {
  readonly done: (result: Result) => void;
  /** A request was due while too many were in flight. */
  readonly skipped?: () => void;
  /** Keep the responses' bodies, as text. */
  readonly bodies?: boolean;
}

const defaults: Omit<LoadTarget, "url"> = { rps: 20, concurrency: 64, timeoutMs: 15_000, headers: {} };
const tickMs = 5;
/** Requests that became due while the process was held up are sent at once, but not more than this time's worth. */
const maxArrearsMs = 250;

const loopback = /^(?:localhost|127(?:\.\d{1,3}){3}|\[::1\])$/;

function checked(target: LoadTarget): LoadTarget {
  const unknown = Object.keys(target).find((name) => name !== "url" && !(name in defaults));
  if (unknown !== undefined) throw new Error(`there is no "${unknown}" to set`);
  let url: URL;
  try {
    url = new URL(target.url);
  } catch {
    throw new Error(`"${target.url}" is not a URL`);
  }
  if (url.protocol !== "http:" || !loopback.test(url.hostname))
    throw new Error(`"${target.url}": load goes only to http:// on a loopback address`);
  const within = (name: "rps" | "concurrency" | "timeoutMs", least: number, most: number): void => {
    const value = target[name];
    if (typeof value !== "number" || !(value >= least && value <= most))
      throw new Error(`${name} must be from ${least} to ${most}`);
  };
  within("rps", 0, 10_000);
  within("concurrency", 1, 1024);
  within("timeoutMs", 1, 600_000);
  return target;
}

function failureOf(error: NodeJS.ErrnoException): Outcome {
  const { code, message } = error;
  if (error.name === "TimeoutError" || error.name === "AbortError") return { kind: "timeout", message };
  if (code === "ECONNREFUSED") return { kind: "refused", message };
  if (code === "ECONNRESET" || code === "EPIPE") return { kind: "reset", message };
  return { kind: "failed", message };
}

/**
 * Sends requests at a steady rate whether or not earlier ones were answered (open loop), over kept-alive connections.
 */
export class LoadGenerator {
  readonly #observer: LoadObserver;
  readonly #agent: Agent;
  #target: LoadTarget;
  #inFlight = 0;
  /** Requests due and not yet sent, with a fraction. */
  #due = 0;

  /** @throws Error when the target is not on a loopback address or a number is out of bounds. */
  constructor(target: Pick<LoadTarget, "url"> & Partial<LoadTarget>, observer: LoadObserver) {
    this.#target = checked({ ...defaults, ...target });
    this.#observer = observer;
    this.#agent = new Agent({ keepAlive: true, maxSockets: 1024, maxFreeSockets: 1024 });
  }

  get target(): LoadTarget {
    return this.#target;
  }

  /** Requests that wait for their answer. */
  get inFlight(): number {
    return this.#inFlight;
  }

  /** Changes the load from now on. @throws Error as the constructor does; the load stays as it was then. */
  adjust(change: Partial<LoadTarget>): void {
    this.#target = checked({ ...this.#target, ...change });
  }

  /** Sends until the signal aborts, then waits for the last answers. */
  async run(signal: AbortSignal): Promise<void> {
    const sent = new Set<Promise<void>>();
    let last = performance.now();
    const tick = (): void => {
      const now = performance.now();
      const { rps } = this.#target;
      this.#due = Math.min(this.#due + ((now - last) * rps) / 1000, 1 + (maxArrearsMs * rps) / 1000);
      last = now;
      for (; this.#due >= 1; this.#due -= 1) {
        // The oldest due request became due this long ago.
        const lateMs = rps === 0 ? 0 : ((this.#due - 1) * 1000) / rps;
        if (this.#inFlight >= this.#target.concurrency) {
          this.#observer.skipped?.();
          continue;
        }
        const one = this.once(lateMs).finally(() => sent.delete(one));
        sent.add(one);
      }
    };
    const timer = setInterval(tick, tickMs);
    if (!signal.aborted) {
      await new Promise<void>((resolve) => {
        signal.addEventListener("abort", () => resolve(), { once: true });
      });
    }
    clearInterval(timer);
    await Promise.all(sent);
    this.#agent.destroy();
  }

  /** Sends one request now and tells the observer what came of it. */
  async once(lateMs = 0): Promise<void> {
    this.#inFlight += 1;
    const started = performance.now() - lateMs;
    const at = Date.now() - lateMs;
    const outcome = await this.#send();
    this.#inFlight -= 1;
    this.#observer.done({ at, ms: performance.now() - started, outcome });
  }

  async #send(): Promise<Outcome> {
    const { url, headers, timeoutMs } = this.#target;
    try {
      const response = await new Promise<IncomingMessage>((resolve, reject) => {
        const signal = AbortSignal.timeout(timeoutMs);
        request(url, { agent: this.#agent, headers, signal }).once("response", resolve).on("error", reject).end();
      });
      const parts: Buffer[] = [];
      for await (const part of response as AsyncIterable<Buffer>) if (this.#observer.bodies === true) parts.push(part);
      const body = this.#observer.bodies === true ? { body: Buffer.concat(parts).toString("utf8") } : {};
      return { kind: "response", status: response.statusCode ?? 0, headers: response.headers, ...body };
    } catch (error) {
      return failureOf(error as NodeJS.ErrnoException);
    }
  }
}

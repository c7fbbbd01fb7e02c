/** A workload's program for benchmarks: sends requests at a steady rate, whether or not those before have been answered. */
import { Agent, request } from "node:http";
import { text } from "node:stream/consumers";
import { systemClock } from "#base/clock.ts";
import { quantile } from "./quantile.ts";

/** A request that is sent: `GET http://HOST/PATH` unless told, to a host's address. */
export interface Sent {
  readonly address: string;
  readonly host: string;
  readonly path: string;
  readonly method?: string;
  readonly headers?: Readonly<Record<string, string>>;
}

/** What a benchmark asks of it. */
export type LoadRequest =
  /** One request. */
  | { readonly kind: "once"; readonly sent: Sent }
  /** So many requests a second for so many seconds. */
  | { readonly kind: "steady"; readonly sent: Sent; readonly rate: number; readonly seconds: number };

/** What it answers. */
export type LoadAnswer =
  | { readonly kind: "got"; readonly status: number; readonly caller: string; readonly text: string }
  /** `failed` says each status other than 200, and each connection that broke, with how often. Milliseconds. */
  | {
      readonly kind: "done";
      readonly requests: number;
      readonly failed: Readonly<Record<string, number>>;
      readonly p50: number;
      readonly p99: number;
    }
  | { readonly kind: "problem"; readonly reason: string };

type Got = Extract<LoadAnswer, { kind: "got" }>;

const agent = new Agent({ keepAlive: true, maxSockets: 16 });

async function send({ address, host, path, method = "GET", headers = {} }: Sent): Promise<Got> {
  const { promise, resolve, reject } = Promise.withResolvers<Got>();
  const sent = request({ host: address, port: 80, path, method, headers: { host, ...headers }, agent }, (response) => {
    const [caller] = [response.headers["x-caller"]].flat();
    text(response)
      .then((body) => resolve({ kind: "got", status: response.statusCode ?? 0, caller: caller ?? "", text: body }))
      .catch(reject);
  });
  sent.once("error", reject).end();
  return await promise;
}

async function steady({ sent, rate, seconds }: Extract<LoadRequest, { kind: "steady" }>): Promise<LoadAnswer> {
  const failed: Record<string, number> = {};
  const times: number[] = [];
  const one = async (): Promise<void> => {
    const started = performance.now();
    const outcome = await send(sent).then(
      ({ status }) => (status === 200 ? undefined : `status ${status}`),
      (error: unknown) => String(error),
    );
    times.push(performance.now() - started);
    if (outcome !== undefined) failed[outcome] = (failed[outcome] ?? 0) + 1;
  };
  const all: Promise<void>[] = [];
  const started = performance.now();
  const count = Math.round(rate * seconds);
  while (all.length < count) {
    const due = Math.min(count, ((performance.now() - started) / 1000) * rate);
    while (all.length < due) all.push(one());
    await systemClock.sleep(1);
  }
  await Promise.all(all);
  const sorted = times.toSorted((a, b) => a - b);
  return { kind: "done", requests: count, failed, p50: quantile(sorted, 0.5), p99: quantile(sorted, 0.99) };
}

const answer = (message: LoadAnswer): void => void process.send?.(message);
process.on("message", (asked: LoadRequest) => {
  const answered = asked.kind === "once" ? send(asked.sent) : steady(asked);
  answered.then(answer, (error: unknown) => answer({ kind: "problem", reason: String(error) }));
});
process.on("disconnect", () => process.exit());

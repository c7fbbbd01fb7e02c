import { systemClock } from "#base/clock.ts";
import { Child } from "./child.ts";
import type { Speed } from "./deliveries.ts";
import { digestOf, linesOf } from "./holdings.ts";
import { monotonicMs } from "./monotonic.ts";
import { processesOf, type ProcessUse } from "./process-tree.ts";
import { quantile } from "./quantile.ts";
import { Recomputed } from "./recomputed.ts";
import { ServedMesh, type ServedScale } from "./served.ts";
import { type StormChange, StormLoad } from "./storm-load.ts";
import type { StormAnswer, StormRequest } from "./storm-simulator.ts";

type StormChild = Child<StormRequest, StormAnswer>;

/** How large a storm is. */
export interface StormOptions {
  readonly scale: ServedScale;
  readonly proxies: number;
  /** Services with a VirtualService and a DestinationRule. */
  readonly ruled: number;
  readonly changesPerSecond: number;
  readonly seconds: number;
  /** Milliseconds between reconnects. */
  readonly reconnectMs: number;
  readonly say: (text: string) => void;
}

/** What processes used at a time. */
export interface Sample {
  /** Seconds since the storm began. */
  readonly at: number;
  readonly processes: readonly ProcessUse[];
}

/** What came of a storm. Times are milliseconds. */
export interface StormResult {
  readonly changes: number;
  /** 99 of 100 changes were acknowledged by the API after this. */
  readonly acknowledgedP99: number;
  /** Of proxies that were in no trouble. */
  readonly speed: Speed;
  /** From the last acknowledgement until nothing more came to any proxy but the stalled one. */
  readonly convergedMs: number;
  readonly reconnected: number;
  /** Streams that the server ended, and why. */
  readonly ended: readonly string[];
  readonly bytesEach: number;
  readonly samples: readonly Sample[];
  /** Bytes resident when all was over. */
  readonly restBytes: number;
  /** How what proxies hold at the end differs from what recomputation from scratch gives them. */
  readonly problems: readonly string[];
}

const stalled = 5;
const sampleMs = 1000;
/** Milliseconds in which nothing comes when all is over. */
const quietMs = 1500;
const quietLimitMs = 60_000;
const shownProblems = 5;

/** Makes changes at an even pace, however long each takes. */
async function storm(load: StormLoad, { changesPerSecond, seconds }: StormOptions): Promise<readonly StormChange[]> {
  const made: Promise<StormChange>[] = [];
  const from = performance.now();
  for (let at = 0; at < changesPerSecond * seconds; at += 1) {
    const wait = from + (at * 1000) / changesPerSecond - performance.now();
    if (wait > 1) await systemClock.sleep(wait);
    made.push(load.next());
  }
  return await Promise.all(made);
}

/** Waits until no more responses come. */
async function quiet(simulator: StormChild): Promise<Extract<StormAnswer, { kind: "progress" }>> {
  const limit = performance.now() + quietLimitMs;
  for (let before = -1; performance.now() < limit;) {
    const progress = await simulator.ask({ kind: "progress" }, "progress");
    if (progress.responses === before) return progress;
    before = progress.responses;
    await systemClock.sleep(quietMs);
  }
  throw new Error(`${quietLimitMs / 1000} s after the storm proxies still get something`);
}

/** What is wrong with what proxies hold. */
async function problemsOf(simulator: StormChild, served: ServedMesh): Promise<readonly string[]> {
  const recomputed = await Recomputed.of(served);
  const { digests } = await simulator.ask({ kind: "digests" }, "digests");
  const wrong: number[] = [];
  for (const [number, digest] of digests.entries()) {
    if (digest !== digestOf(linesOf(recomputed.holdings(number)))) wrong.push(number);
  }
  const problems: string[] = wrong.length === 0 ? [] : [`${wrong.length} proxies do not hold what they should`];
  for (const proxy of wrong.slice(0, shownProblems)) {
    const held = new Set((await simulator.ask({ kind: "held", proxy }, "held")).lines);
    const wanted = new Set(linesOf(recomputed.holdings(proxy)));
    const [lacks, extra] = [
      [...wanted].filter((line) => !held.has(line)),
      [...held].filter((line) => !wanted.has(line)),
    ];
    problems.push(`proxy ${proxy} lacks ${lacks.slice(0, 3).join(", ")}; has besides ${extra.slice(0, 3).join(", ")}`);
  }
  return problems;
}

function acknowledgedP99(changes: readonly StormChange[]): number {
  const times = changes.map(({ sent, acknowledged }) => acknowledged - sent).toSorted((a, b) => a - b);
  return quantile(times, 0.99);
}

/** Samples what processes use, each second until disposed. */
class Sampler implements Disposable {
  readonly samples: Sample[] = [];
  readonly #pid: number;
  readonly #from = monotonicMs();
  readonly #timer: NodeJS.Timeout;

  constructor(pid: number) {
    this.#pid = pid;
    this.#timer = setInterval(() => this.sample(), sampleMs);
    this.sample();
  }

  sample(): void {
    this.samples.push({ at: (monotonicMs() - this.#from) / 1000, processes: processesOf(this.#pid) });
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
  }
}

/** Makes the changes of a storm while processes are sampled. */
async function sampled(served: ServedMesh, load: StormLoad, options: StormOptions) {
  using sampler = new Sampler(served.pid);
  const changes = await storm(load, options);
  sampler.sample();
  return { changes, samples: sampler.samples };
}

/** Lets a storm of changes pass over a served mesh, while one proxy stalls and others reconnect. */
export async function runStorm(options: StormOptions): Promise<StormResult> {
  const { scale, proxies, say } = options;
  await using served = await ServedMesh.start(scale);
  const simulator: StormChild = new Child("storm-simulator.ts");
  try {
    const load = new StormLoad(served, options.ruled);
    say("creating rules");
    await load.prepare();
    say(`connecting ${proxies} proxies`);
    await simulator.ask({ kind: "connect", address: served.ads, proxies, scale }, "synced");
    await served.settled();
    await simulator.ask({ kind: "trouble", stalled, everyMs: options.reconnectMs }, "troubled");
    say(`${options.changesPerSecond} changes a second for ${options.seconds} s`);
    const before = await simulator.ask({ kind: "progress" }, "progress");
    const { changes, samples } = await sampled(served, load, options);
    await simulator.ask({ kind: "calm" }, "calmed");
    const last = Math.max(...changes.map(({ acknowledged }) => acknowledged));
    const after = await quiet(simulator);
    say("waiting until the stalled proxy has caught up");
    await simulator.ask({ kind: "resume" }, "resumed");
    await quiet(simulator);
    await served.settled();
    const { ended } = await quiet(simulator);
    say("comparing with recomputation from scratch");
    const problems = await problemsOf(simulator, served);
    const { speed } = await simulator.ask({ kind: "speed", changes }, "speed");
    return {
      changes: changes.length,
      acknowledgedP99: acknowledgedP99(changes),
      speed,
      convergedMs: Math.max(0, after.lastAt - last),
      reconnected: after.reconnected,
      ended,
      bytesEach: (after.bytes - before.bytes) / proxies,
      samples,
      restBytes: served.use().residentBytes,
      problems,
    };
  } finally {
    await simulator.end();
  }
}

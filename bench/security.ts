/**
 * What mutual TLS and ten policies add to the CPU of a request: a workload calls another through the Envoys of both, which hold
 * what the control plane makes of the mesh's objects; requests come at a steady rate, and the modes take turns.
 * `node bench/security.ts [--rate 1000] [--seconds 5] [--rounds 9]`, as root: workloads are in network namespaces. The last
 * line is JSON.
 */
import { parseArgs } from "node:util";
import { systemClock } from "#base/clock.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { World } from "../test/behaviour/world.ts";
import { Child } from "./child.ts";
import { printFigures, progress, type Row } from "./figures.ts";
import type { ApplicationAnswer, ApplicationRequest } from "./http-application.ts";
import type { LoadAnswer, LoadRequest, Sent } from "./http-load.ts";
import { treeUse } from "./process-tree.ts";
import { median, rounded } from "./quantile.ts";
import { callerId, makeToken, type Mode, modes, modeTexts, securityMesh } from "./security-mesh.ts";

const { values } = parseArgs({
  options: {
    rate: { type: "string", default: "1000" },
    seconds: { type: "string", default: "5" },
    rounds: { type: "string", default: "9" },
  },
});
const [rate, seconds, rounds] = [Number(values.rate), Number(values.seconds), Number(values.rounds)];

/** Seconds in which requests of one mode are sent before those of the next. */
const turnSeconds = 0.5;

type Load = Child<LoadRequest, LoadAnswer>;
type Application = Child<ApplicationRequest, ApplicationAnswer>;

/** Microseconds of CPU of one request, on the average of a turn. */
interface Turn {
  readonly client: number;
  readonly server: number;
  /** Of both Envoys and both programs. */
  readonly all: number;
  /** Milliseconds. */
  readonly p50: number;
  readonly p99: number;
  readonly requests: number;
}

/** A program in the network namespace of a workload. */
function programOf<C>(world: World, workload: string, start: (wrapper: readonly string[]) => C): C {
  return start(inside(namespacePath(world.namespaceOf(workload)), []));
}

/** The mesh with its programs. */
class Bench implements AsyncDisposable {
  readonly #world: World;
  readonly #token: string;
  readonly #load: Load;
  readonly #applications: ReadonlyMap<Mode, Application>;

  private constructor(world: World, token: string) {
    this.#world = world;
    this.#token = token;
    this.#load = programOf(world, "client", (wrapper) => new Child("http-load.ts", [], wrapper));
    const application = (mode: Mode): Application =>
      programOf(world, mode, (wrapper) => new Child("http-application.ts", [], wrapper));
    this.#applications = new Map(modes.map((mode) => [mode, application(mode)]));
  }

  static async start(): Promise<Bench> {
    const token = await makeToken(systemClock.now());
    const bench = new Bench(await World.start("bs", securityMesh(token)), token.text);
    try {
      for (const application of bench.#applications.values()) await application.answer("listening");
      return bench;
    } catch (fault) {
      await bench[Symbol.asyncDispose]();
      throw fault;
    }
  }

  /** Makes sure that calls of a mode are what its name says. */
  async check(mode: Mode): Promise<void> {
    const item = this.#request(mode);
    const outcome = async (sent: Sent): Promise<string> => {
      const { status, caller } = await this.#load.ask({ kind: "once", sent }, "got");
      return status === 200 ? caller.replace(/^.*URI=([^;,]*).*$/, "$1") : String(status);
    };
    const outcomes = [
      await outcome(item),
      await outcome({ ...item, method: "PUT" }),
      await outcome({ ...item, headers: {} }),
    ];
    const open = mode === "plaintext" ? "unknown" : callerId;
    const guarded = modes.indexOf(mode) >= modes.indexOf("policies");
    const expected = [open, guarded ? "403" : open, mode === "tokens" ? "403" : open];
    if (String(outcomes) !== String(expected))
      throw new Error(`calls in mode ${mode} gave ${outcomes.join(", ")}, not ${expected.join(", ")}`);
  }

  /** Sends requests for a while, and says what each cost. @throws Error when one fails. */
  async turn(mode: Mode, lasting: number): Promise<Turn> {
    const before = this.#cpu(mode);
    const sent = this.#request(mode);
    const { requests, failed, p50, p99 } = await this.#load.ask(
      { kind: "steady", sent, rate, seconds: lasting },
      "done",
    );
    const after = this.#cpu(mode);
    if (Object.keys(failed).length > 0) throw new Error(`requests in mode ${mode} failed: ${JSON.stringify(failed)}`);
    const each = (of: keyof typeof before): number => ((after[of] - before[of]) * 1000) / requests;
    return { client: each("client"), server: each("server"), all: each("all"), p50, p99, requests };
  }

  /** Makes the turn that goes on fail, so that all is cleaned up. */
  async interrupt(): Promise<void> {
    await this.#load.end();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of [this.#load, ...this.#applications.values()]) await child.end();
    await this.#world[Symbol.asyncDispose]();
  }

  #request(mode: Mode): Sent {
    const host = `${mode}.${mode}.svc.cluster.local`;
    const headers = { authorization: `Bearer ${this.#token}` };
    return { address: this.#world.resolve(host, "client"), host, path: "/items/1", headers };
  }

  #cpu(mode: Mode): Readonly<Record<"client" | "server" | "all", number>> {
    const cpu = (pid: number): number => treeUse(pid).cpuMs;
    const [client, server] = [cpu(this.#world.envoy("client").pid), cpu(this.#world.envoy(mode).pid)];
    const programs = cpu(this.#load.pid) + cpu(this.#applications.get(mode)?.pid ?? 0);
    return { client, server, all: client + server + programs };
  }
}

const envoys = ({ client, server }: Turn): number => client + server;

/** One turn out of several of the same number of requests. */
function joined(turns: readonly Turn[]): Turn {
  const mean = (of: keyof Turn): number => turns.reduce((sum, turn) => sum + turn[of], 0) / turns.length;
  const middle = (of: keyof Turn): number => median(turns.map((turn) => turn[of]));
  const cpu = { client: mean("client"), server: mean("server"), all: mean("all") };
  return { ...cpu, p50: middle("p50"), p99: middle("p99"), requests: mean("requests") * turns.length };
}

function rowOf(mode: Mode, turns: readonly Readonly<Record<Mode, Turn>>[]): Row {
  const over = (of: (turn: Turn, plain: Turn) => number): readonly number[] =>
    turns.map((round) => of(round[mode], round.plaintext));
  const ratios = over((turn, plain) => envoys(turn) / envoys(plain));
  const figure = (of: (turn: Turn, plain: Turn) => number): number => rounded(median(over(of)));
  return {
    mode: modeTexts[mode],
    "client's Envoy us": figure(({ client }) => client),
    "server's Envoy us": figure(({ server }) => server),
    "both us": figure(envoys),
    "added us": figure((turn, plain) => envoys(turn) - envoys(plain)),
    ratio: rounded(median(ratios)),
    least: rounded(Math.min(...ratios)),
    most: rounded(Math.max(...ratios)),
    "with the programs us": figure(({ all }) => all),
    "their ratio": figure(({ all }, plain) => all / plain.all),
    "P50 ms": figure(({ p50 }) => p50),
    "P99 ms": figure(({ p99 }) => p99),
    requests: over(({ requests }) => requests).reduce((sum, each) => sum + each, 0),
  };
}

progress("security: starting five Envoys");
await using bench = await Bench.start();
// Network namespaces would stay.
for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => void bench.interrupt());
for (const mode of modes) {
  await bench.check(mode);
  // Opens connections, and warms up.
  await bench.turn(mode, 1);
}
const turns: Readonly<Record<Mode, Turn>>[] = [];
for (let round = 0; round < rounds; round += 1) {
  const measured: Readonly<Record<Mode, Turn[]>> = { plaintext: [], mtls: [], policies: [], tokens: [] };
  // What else the machine does meets all modes alike: they take short turns, each time another one first.
  for (let turn = 0; turn * turnSeconds < seconds; turn += 1) {
    for (const at of modes.keys()) {
      const mode = modes[(at + turn + round) % modes.length] ?? "plaintext";
      measured[mode].push(await bench.turn(mode, turnSeconds));
    }
  }
  const whole = Object.fromEntries(modes.map((mode) => [mode, joined(measured[mode])])) as Record<Mode, Turn>;
  turns.push(whole);
  const figures = modes.map((mode) => `${mode} ${rounded(envoys(whole[mode]))}`);
  progress(`security: round ${round + 1}, us of both Envoys: ${figures.join(", ")}`);
}
printFigures(
  "security",
  `CPU of a request from a workload to another through both Envoys at ${rate} a second; medians of ${rounds} rounds of ${seconds} s, ratios to plaintext in the same round; no request failed`,
  { rate, seconds, rounds },
  modes.map((mode) => rowOf(mode, turns)),
);

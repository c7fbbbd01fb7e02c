import { readFileSync } from "node:fs";
import { systemClock } from "#base/clock.ts";

/** A node of V8's CPU profile: a function, at a place in the tree of calls. */
interface ProfileNode {
  readonly id: number;
  readonly callFrame: { readonly functionName: string; readonly url: string; readonly lineNumber: number };
}

/** V8's CPU profile, as far as it is read here: which node each sample was in, and microseconds since the one before. */
export interface Profile {
  readonly nodes: readonly ProfileNode[];
  readonly samples: readonly number[];
  readonly timeDeltas: readonly number[];
}

interface Reply {
  readonly id?: number;
  readonly result?: unknown;
  readonly error?: { readonly message: string };
}

const listening = /Debugger listening on (ws:\/\/\S+)/;
const waitMs = 10_000;

/** What a Node process does with its time, asked of its inspector; started with `--inspect-port=0`, it takes any free port. */
export class Profiler implements Disposable {
  readonly #socket: WebSocket;
  readonly #waiting = new Map<number, (reply: Reply) => void>();
  #sent = 0;

  private constructor(socket: WebSocket) {
    this.#socket = socket;
    socket.addEventListener("message", ({ data }) => {
      const reply = JSON.parse(String(data)) as Reply;
      if (reply.id !== undefined) this.#waiting.get(reply.id)?.(reply);
    });
  }

  /**
   * Has a process open its inspector.
   * @param log the file with what the process writes to its standard error.
   */
  static async attach(pid: number, log: string): Promise<Profiler> {
    process.kill(pid, "SIGUSR1");
    for (const end = performance.now() + waitMs; performance.now() < end;) {
      const [, url] = listening.exec(readFileSync(log, "utf8")) ?? [];
      if (url !== undefined) {
        const socket = new WebSocket(url);
        await new Promise((resolve, reject) => {
          socket.addEventListener("open", resolve);
          socket.addEventListener("error", reject);
        });
        const profiler = new Profiler(socket);
        await profiler.#ask("Profiler.enable");
        await profiler.#ask("Profiler.setSamplingInterval", { interval: 1000 });
        return profiler;
      }
      await systemClock.sleep(50);
    }
    throw new Error(`process ${pid} did not open its inspector`);
  }

  /** Profiles the process while something runs. */
  async during(work: () => Promise<void>): Promise<Profile> {
    await this.#ask("Profiler.start");
    await work();
    const { profile } = (await this.#ask("Profiler.stop")) as { readonly profile: Profile };
    return profile;
  }

  [Symbol.dispose](): void {
    this.#socket.close();
  }

  async #ask(method: string, params: object = {}): Promise<unknown> {
    this.#sent += 1;
    const id = this.#sent;
    const reply = new Promise<Reply>((resolve) => this.#waiting.set(id, resolve));
    this.#socket.send(JSON.stringify({ id, method, params }));
    const { result, error } = await reply;
    this.#waiting.delete(id);
    if (error) throw new Error(`${method}: ${error.message}`);
    return result;
  }
}

/** Milliseconds in each function itself, without what it called; most first. Waiting is left out. */
export function selfTimes(profile: Profile, name: (frame: ProfileNode["callFrame"]) => string): [string, number][] {
  const frames = new Map(profile.nodes.map(({ id, callFrame }) => [id, callFrame]));
  const times = new Map<string, number>();
  for (const [at, id] of profile.samples.entries()) {
    const frame = frames.get(id);
    if (!frame || frame.functionName === "(idle)") continue;
    const key = name(frame);
    times.set(key, (times.get(key) ?? 0) + (profile.timeDeltas[at] ?? 0) / 1000);
  }
  return [...times].toSorted(([, a], [, b]) => b - a);
}

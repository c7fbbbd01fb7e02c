import { systemClock } from "#base/clock.ts";
import type { BareAnswer, BareRequest } from "./bare-server.ts";
import { Child } from "./child.ts";
import { resetPeak, settled, treeUse, type TreeUse } from "./process-tree.ts";
import { quantile } from "./quantile.ts";
import { type ChangeKind, ServedMesh, type ServedScale } from "./served.ts";
import type { SimulatorAnswer, SimulatorRequest } from "./xds-simulator.ts";

/** What a full sync cost, the server's whole process tree. */
export interface SyncCost {
  readonly cpuMs: number;
  /** Milliseconds until the last proxy held everything. */
  readonly lastMs: number;
  /** Bytes resident at most: the sum of what each process had at most. */
  readonly peakBytes: number;
  /** Bytes to all proxies. */
  readonly sentBytes: number;
}

/** What a server used that had nothing to do. */
export interface Rest {
  readonly residentBytes: number;
  /** Milliseconds of CPU each second. */
  readonly cpuMs: number;
}

/** What a change cost, until the server had nothing left to do. Times are milliseconds from its acknowledgement. */
export interface ChangeCost {
  readonly cpuMs: number;
  readonly p50: number;
  readonly p99: number;
  readonly last: number;
  /** Bytes to each proxy that was told. */
  readonly bytes: number;
  readonly reached: number;
}

/** All that is measured of one server. */
export interface Measured {
  readonly sync: SyncCost;
  readonly rest: Rest;
  readonly changes: Readonly<Record<ChangeKind, readonly ChangeCost[]>>;
}

/** A server that is measured, with proxies of its own in another process. */
interface Server {
  readonly name: "weft" | "bare";
  readonly pid: number;
  readonly address: string;
  /** Changes something, and returns when that was acknowledged, in nanoseconds of the monotonic clock. */
  readonly change: (kind: ChangeKind, generation: number) => Promise<bigint>;
  readonly end: () => Promise<void>;
}

/** Milliseconds in which simulated proxies that have read everything get nothing. */
const quietMs = 300;

/** What a server had used when it ran out of work, and what its proxies had got. */
interface Quiet {
  readonly after: TreeUse;
  readonly report: Extract<SimulatorAnswer, { kind: "report" }>;
}

/** A server under measurement, and proxies of it. Disposing ends both. */
export class Subject implements AsyncDisposable {
  readonly #scale: ServedScale;
  readonly #server: Server;
  readonly #simulator = new Child<SimulatorRequest, SimulatorAnswer>("xds-simulator.ts");

  private constructor(scale: ServedScale, server: Server) {
    this.#scale = scale;
    this.#server = server;
  }

  /** The production server. */
  static async weft(scale: ServedScale, changed: number): Promise<Subject> {
    const served = await ServedMesh.start(scale);
    await served.addRoute(changed);
    await served.settled();
    return new Subject(scale, {
      name: "weft",
      pid: served.pid,
      address: served.ads,
      change: async (kind, generation) => await served.change(kind, changed, generation),
      end: async () => await served[Symbol.asyncDispose](),
    });
  }

  /** The bare server, with a file of recordings. */
  static async bare(scale: ServedScale, file: string): Promise<Subject> {
    const child = new Child<BareRequest, BareAnswer>("bare-server.ts", [file]);
    const { port } = await child.answer("ready");
    await settled(child.pid);
    return new Subject(scale, {
      name: "bare",
      pid: child.pid,
      address: `127.0.0.1:${port}`,
      change: async (change) => BigInt((await child.ask({ kind: "change", change }, "changed")).at),
      end: async () => await child.end(),
    });
  }

  get name(): Server["name"] {
    return this.#server.name;
  }

  /** Connects proxies of these workloads at once. */
  async sync(numbers: readonly number[]): Promise<SyncCost> {
    const { pid, address } = this.#server;
    const before = treeUse(pid);
    resetPeak(pid);
    const started = process.hrtime.bigint();
    const mode = { variant: "delta", remember: true, record: false } as const;
    const { namespaces } = this.#scale;
    const synced = await this.#simulator.ask({ kind: "connect", address, numbers, namespaces, ...mode }, "synced");
    const { after } = await this.#quiet();
    await this.check();
    return {
      cpuMs: after.cpuMs - before.cpuMs,
      lastMs: Number(BigInt(synced.at) - started) / 1e6,
      peakBytes: after.peakBytes,
      sentBytes: synced.counts.bytes,
    };
  }

  /** Lets it rest. */
  async rest(ms: number): Promise<Rest> {
    const before = treeUse(this.#server.pid);
    await systemClock.sleep(ms);
    const after = treeUse(this.#server.pid);
    return { residentBytes: after.residentBytes, cpuMs: ((after.cpuMs - before.cpuMs) * 1000) / ms };
  }

  /** Changes something that so many of the proxies are told of. */
  async change(kind: ChangeKind, generation: number, reached: number): Promise<ChangeCost> {
    const { pid, change } = this.#server;
    await this.#simulator.ask({ kind: "mark" }, "marked");
    const before = treeUse(pid);
    const at = await change(kind, generation);
    const { after, report } = await this.#quiet();
    const times = report.times.map((time) => Number(BigInt(time) - at) / 1e6).toSorted((a, b) => a - b);
    if (times.length !== reached)
      throw new Error(`${this.name}: a change of ${kind} reached ${times.length} proxies instead of ${reached}`);
    return {
      cpuMs: after.cpuMs - before.cpuMs,
      p50: quantile(times, 0.5),
      p99: quantile(times, 0.99),
      last: times.at(-1) ?? 0,
      bytes: report.counts.bytes / times.length,
      reached,
    };
  }

  /** Fails unless each proxy holds exactly what it must. */
  async check(): Promise<void> {
    const { problems } = await this.#simulator.ask({ kind: "check", scale: this.#scale }, "checked");
    if (problems.length > 0)
      throw new Error(`${this.name}: ${problems.slice(0, 5).join("; ")} (${problems.length} in all)`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#simulator.end();
    await this.#server.end();
  }

  /** Waits until the server has nothing left to do and proxies nothing left to read. */
  async #quiet(): Promise<Quiet> {
    const after = await settled(this.#server.pid);
    for (let before = -1; ;) {
      const report = await this.#simulator.ask({ kind: "report" }, "report");
      if (report.counts.responses === before) return { after, report };
      before = report.counts.responses;
      await systemClock.sleep(quietMs);
    }
  }
}

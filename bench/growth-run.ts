import { systemClock } from "#base/clock.ts";
import type { BareAnswer, BareRequest } from "./bare-server.ts";
import { Child } from "./child.ts";
import { sees } from "./expected.ts";
import { mebibytes } from "./figures.ts";
import { settled, treeUse } from "./process-tree.ts";
import { median, quantile } from "./quantile.ts";
import { ServedMesh, type ServedScale } from "./served.ts";
import type { SimulatorAnswer, SimulatorRequest } from "./xds-simulator.ts";

/** How many proxies come. */
export interface GrowthOptions {
  readonly scale: ServedScale;
  /** With so many, one-time costs are paid: what more cost is each one's own. */
  readonly few: number;
  readonly all: number;
  /** Milliseconds of rest before memory is looked at. */
  readonly restMs: number;
  readonly say: (text: string) => void;
}

/** Bytes resident with no, few and all proxies, a while after the last connected. */
export interface Memory {
  readonly none: number;
  readonly few: number;
  readonly all: number;
}

/** What a change cost, median of a few; times are milliseconds from its acknowledgement. */
export interface ChangeCost {
  readonly cpuMs: number;
  readonly p99: number;
}

/** What was measured of the production server. */
export interface ServedGrowth {
  readonly memory: Memory;
  readonly changeOfFew: ChangeCost;
  readonly changeOfAll: ChangeCost;
  /** Listing all proxies as `weft proxy-status` does. */
  readonly listing: { readonly ms: number; readonly cpuMs: number; readonly bytes: number; readonly rows: number };
  /** Milliseconds of CPU each second while nothing happens. */
  readonly idleCpuMs: number;
}

/** Proxies of one simulating process, and how many of them get their first configuration at a time. */
const perProcess = 2500;
const atOnce = 25;
const changes = 3;

/** Simulated proxies in as many processes as it takes. Disposing ends them. */
class Crowd implements AsyncDisposable {
  readonly #address: string;
  readonly #namespaces: number;
  readonly #children: Child<SimulatorRequest, SimulatorAnswer>[] = [];
  #count = 0;

  constructor(address: string, { namespaces }: ServedScale) {
    this.#address = address;
    this.#namespaces = namespaces;
  }

  /** Connects more, until there are so many. */
  async grow(count: number): Promise<void> {
    while (this.#count < count) {
      const first = this.#count;
      const end = Math.min(count, first + perProcess);
      const child = new Child<SimulatorRequest, SimulatorAnswer>("xds-simulator.ts");
      this.#children.push(child);
      const numbers = Array.from({ length: end - first }, (_, at) => first + at);
      const who = { address: this.#address, numbers, namespaces: this.#namespaces, atOnce };
      await child.ask({ kind: "connect", ...who, variant: "delta", remember: false, record: false }, "synced");
      this.#count = end;
    }
  }

  async mark(): Promise<void> {
    await Promise.all(this.#children.map(async (child) => child.ask({ kind: "mark" }, "marked")));
  }

  /** When the last response since the mark came to each proxy that got any, in nanoseconds of the monotonic clock. */
  async times(): Promise<readonly bigint[]> {
    const reports = await Promise.all(this.#children.map(async (child) => child.ask({ kind: "report" }, "report")));
    return reports.flatMap(({ times }) => times.map(BigInt));
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const child of this.#children) await child.end();
  }
}

/** The service that is changed: of the first namespace without a Sidecar. */
function changedOf({ sidecars }: ServedScale): number {
  return sidecars;
}

async function changeCost(served: ServedMesh, crowd: Crowd, count: number, from: number): Promise<ChangeCost> {
  const changed = changedOf(served.scale);
  const numbers = Array.from({ length: count }, (_, number) => number);
  const reached = numbers.filter((each) => sees(each, changed, served.scale)).length;
  const costs: ChangeCost[] = [];
  // The first one warms up.
  for (let turn = 0; turn <= changes; turn += 1) {
    await crowd.mark();
    const before = served.use().cpuMs;
    const at = await served.change("route", changed, from + turn);
    await served.settled();
    const times = (await crowd.times()).map((time) => Number(time - at) / 1e6).toSorted((a, b) => a - b);
    if (times.length !== reached) throw new Error(`a change reached ${times.length} proxies instead of ${reached}`);
    if (turn > 0) costs.push({ cpuMs: served.use().cpuMs - before, p99: quantile(times, 0.99) });
  }
  return { cpuMs: median(costs.map(({ cpuMs }) => cpuMs)), p99: median(costs.map(({ p99 }) => p99)) };
}

/** Memory of the bare server, with a file of recordings. */
export async function bareGrowth(file: string, { scale, few, all, restMs, say }: GrowthOptions): Promise<Memory> {
  const server = new Child<BareRequest, BareAnswer>("bare-server.ts", [file]);
  try {
    const { port } = await server.answer("ready");
    await using crowd = new Crowd(`127.0.0.1:${port}`, scale);
    const grown = async (count: number): Promise<number> => {
      await crowd.grow(count);
      await settled(server.pid);
      await systemClock.sleep(restMs);
      const { residentBytes } = treeUse(server.pid);
      say(`${count} proxies: ${mebibytes(residentBytes).toFixed(0)} MiB`);
      return residentBytes;
    };
    return { none: await grown(0), few: await grown(few), all: await grown(all) };
  } finally {
    await server.end();
  }
}

async function listingOf(served: ServedMesh): Promise<ServedGrowth["listing"]> {
  const before = served.use().cpuMs;
  const start = performance.now();
  const body = await served.mesh.bytes({
    method: "GET",
    path: "/apis/status.mesh.weft.dev/v1alpha1/proxies",
    accept: "application/json;as=Table;v=v1;g=meta.k8s.io",
  });
  const ms = performance.now() - start;
  const { rows } = JSON.parse(body.toString()) as { readonly rows: readonly unknown[] };
  return { ms, cpuMs: served.use().cpuMs - before, bytes: body.length, rows: rows.length };
}

async function grownTo(count: number, served: ServedMesh, crowd: Crowd, restMs: number): Promise<number> {
  await crowd.grow(count);
  await served.settled();
  await systemClock.sleep(restMs);
  return served.use().residentBytes;
}

/** Lets proxies come to the production server. Fails unless a change reaches each one that it concerns. */
export async function servedGrowth({ scale, few, all, restMs, say }: GrowthOptions): Promise<ServedGrowth> {
  await using served = await ServedMesh.start(scale);
  await served.addRoute(changedOf(scale));
  await using crowd = new Crowd(served.ads, scale);
  const grown = async (count: number): Promise<number> => {
    const bytes = await grownTo(count, served, crowd, restMs);
    say(`${count} proxies: ${mebibytes(bytes).toFixed(0)} MiB`);
    return bytes;
  };
  const none = await grown(0);
  const withFew = await grown(few);
  const changeOfFew = await changeCost(served, crowd, few, 1);
  const withAll = await grown(all);
  const [start, before] = [performance.now(), served.use().cpuMs];
  await systemClock.sleep(restMs);
  const idleCpuMs = ((served.use().cpuMs - before) * 1000) / (performance.now() - start);
  const changeOfAll = await changeCost(served, crowd, all, changes + 2);
  const listing = await listingOf(served);
  return { memory: { none, few: withFew, all: withAll }, changeOfFew, changeOfAll, listing, idleCpuMs };
}

/** Bytes that each proxy after the first few takes. */
export async function laterGrowth({ scale, few, all, restMs }: GrowthOptions): Promise<number> {
  await using served = await ServedMesh.start(scale);
  await using crowd = new Crowd(served.ads, scale);
  const before = await grownTo(few, served, crowd, restMs);
  return ((await grownTo(all, served, crowd, restMs)) - before) / (all - few);
}

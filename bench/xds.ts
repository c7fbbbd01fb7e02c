/**
 * What it costs to serve xDS to 1, 100 and 1,000 proxies: a full sync and one change, beside a bare grpc-js server
 * that sends the same bytes, turn by turn. `node bench/xds.ts [--mesh plain] [--proxies 1,100] [--rounds 1]`; the last
 * line is JSON.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import type { Recording } from "./bare-server.ts";
import { Child } from "./child.ts";
import { printFigures, progress } from "./figures.ts";
import type { ServerAnswer, ServerRequest } from "./measured.ts";
import { changeKinds, type ChangeKind } from "./meshes.ts";
import { resetPeak, treeUse, type TreeUse } from "./process-tree.ts";
import type { SimulatorAnswer, SimulatorRequest } from "./xds-simulator.ts";

type ServerChild = Child<ServerRequest, ServerAnswer>;
type SimulatorChild = Child<SimulatorRequest, SimulatorAnswer>;

const { values } = parseArgs({
  options: {
    mesh: { type: "string", default: "translated" },
    services: { type: "string", default: "1000" },
    namespaces: { type: "string", default: "20" },
    proxies: { type: "string", default: "1,100,1000" },
    rounds: { type: "string", default: "2" },
    changes: { type: "string", default: "5" },
  },
});
const namespaces = Number(values.namespaces);
const changeCount = Number(values.changes);

/** Milliseconds without a response after which what was under way is over. */
const quietMs = 300;

/** What a full sync or a change cost one server. */
interface Cost {
  readonly cpuMs: number;
  /** Milliseconds until half, 99 of 100, and all of the proxies had it. */
  readonly p50: number;
  readonly p99: number;
  readonly last: number;
  /** Bytes to each proxy. */
  readonly bytes: number;
  readonly peakMiB: number;
  readonly encoded: number;
}

type Server = "weft" | "bare";

const pause = (ms: number): Promise<void> =>
  new Promise((resolve) => {
    setTimeout(resolve, ms);
  });

function median(numbers: readonly number[]): number {
  const sorted = numbers.toSorted((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)] ?? 0;
}

function quantile(sorted: readonly number[], part: number): number {
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}

const milliseconds = (from: string, to: string): number => Number(BigInt(to) - BigInt(from)) / 1e6;

type Report = Extract<SimulatorAnswer, { kind: "report" }>;

/** Waits until no more responses come. */
async function quiet(simulator: SimulatorChild): Promise<Report> {
  for (let before = -1; ;) {
    await pause(quietMs);
    const report = await simulator.ask({ kind: "report" }, "report");
    if (report.counts.responses === before) return report;
    before = report.counts.responses;
  }
}

/** What a server has used, and how many messages it has encoded. */
interface Usage extends TreeUse {
  readonly encoded: number;
}

async function usageOf(server: ServerChild): Promise<Usage> {
  const { figures } = await server.ask({ kind: "figures" }, "figures");
  return { ...treeUse(server.pid), encoded: figures["messagesEncoded"] ?? 0 };
}

function costOf(before: Usage, after: Usage, times: readonly number[], bytes: number): Cost {
  const sorted = times.toSorted((a, b) => a - b);
  return {
    cpuMs: after.cpuMs - before.cpuMs,
    p50: quantile(sorted, 0.5),
    p99: quantile(sorted, 0.99),
    last: sorted.at(-1) ?? 0,
    bytes,
    peakMiB: after.peakBytes / 2 ** 20,
    encoded: after.encoded - before.encoded,
  };
}

async function fullSync(server: ServerChild, simulator: SimulatorChild, port: number, proxies: number): Promise<Cost> {
  const before = await usageOf(server);
  resetPeak(server.pid);
  const started = String(process.hrtime.bigint());
  const synced = await simulator.ask(
    {
      kind: "connect",
      address: `127.0.0.1:${port}`,
      variant: "delta",
      proxies,
      namespaces,
      remember: false,
      record: proxies === 1,
    },
    "synced",
  );
  const report = await quiet(simulator);
  const times = [...report.times.map((time) => milliseconds(started, time)), milliseconds(started, synced.at)];
  return costOf(before, await usageOf(server), times, synced.counts.bytes / proxies);
}

async function oneChange(
  server: ServerChild,
  simulator: SimulatorChild,
  change: ChangeKind,
  generation: number,
): Promise<Cost> {
  await simulator.ask({ kind: "mark" }, "marked");
  const before = await usageOf(server);
  resetPeak(server.pid);
  const { at } = await server.ask({ kind: "change", change, generation }, "changed");
  const report = await quiet(simulator);
  const after = await usageOf(server);
  const times = report.times.map((time) => milliseconds(at, time));
  return costOf(before, after, times, report.counts.bytes / Math.max(1, times.length));
}

function serverChild(server: Server, recording: string): ServerChild {
  return server === "bare"
    ? new Child("bare-server.ts", [recording])
    : new Child("xds-server.ts", [values.mesh, values.services, values.namespaces]);
}

/** Records what a proxy gets, for the bare server to send. */
async function record(file: string, simulator: SimulatorChild): Promise<void> {
  const server = serverChild("weft", "");
  try {
    const { port } = await server.answer("ready");
    await fullSync(server, simulator, port, 1);
    const types: Record<string, string[]> = {};
    for (const { type, bytes } of (await simulator.ask({ kind: "report" }, "report")).recorded) {
      (types[type] ??= []).push(bytes);
    }
    const changes: Record<string, readonly string[]> = {};
    for (const kind of changeKinds) {
      await oneChange(server, simulator, kind, 1);
      const { recorded } = await simulator.ask({ kind: "report" }, "report");
      changes[kind] = recorded.map(({ bytes }) => bytes);
    }
    const recording: Recording = { types, changes };
    writeFileSync(file, JSON.stringify(recording));
  } finally {
    await simulator.ask({ kind: "close" }, "closed");
    await server.end();
  }
}

type Measured = Map<string, Cost[]>;

async function measure(server: Server, file: string, simulator: SimulatorChild, proxies: number): Promise<Measured> {
  const child = serverChild(server, file);
  try {
    const { port } = await child.answer("ready");
    const measured: Measured = new Map([["full sync", [await fullSync(child, simulator, port, proxies)]]]);
    for (const kind of changeKinds) {
      // The first one warms up.
      await oneChange(child, simulator, kind, 1);
      const costs: Cost[] = [];
      for (let at = 0; at < changeCount; at += 1) costs.push(await oneChange(child, simulator, kind, at + 2));
      measured.set(`one ${kind} changed`, costs);
    }
    return measured;
  } finally {
    await simulator.ask({ kind: "close" }, "closed");
    await child.end();
  }
}

function row(proxies: number, what: string, weft: readonly Cost[], bare: readonly Cost[]) {
  const of = (costs: readonly Cost[], field: keyof Cost): number => median(costs.map((cost) => cost[field]));
  const rounded = (value: number): number => Number(value.toFixed(value < 100 ? 1 : 0));
  return {
    proxies,
    what,
    "CPU ms": rounded(of(weft, "cpuMs")),
    "bare CPU ms": rounded(of(bare, "cpuMs")),
    ratio: Number((of(weft, "cpuMs") / Math.max(0.1, of(bare, "cpuMs"))).toFixed(2)),
    "P50 ms": rounded(of(weft, "p50")),
    "P99 ms": rounded(of(weft, "p99")),
    "last ms": rounded(of(weft, "last")),
    "bare last ms": rounded(of(bare, "last")),
    "bytes each": Math.round(of(weft, "bytes")),
    encoded: of(weft, "encoded"),
    "peak MiB": rounded(of(weft, "peakMiB")),
    "bare peak MiB": rounded(of(bare, "peakMiB")),
  };
}

async function measureAll(file: string, simulator: SimulatorChild): Promise<readonly ReturnType<typeof row>[]> {
  progress(`xds, ${values.mesh}: recording what the bare server is to send`);
  await record(file, simulator);
  const rows: ReturnType<typeof row>[] = [];
  for (const proxies of values.proxies.split(",").map(Number)) {
    const results: Record<Server, Measured> = { weft: new Map(), bare: new Map() };
    for (let round = 0; round < Number(values.rounds); round += 1) {
      for (const server of ["weft", "bare"] as const) {
        for (const [what, costs] of await measure(server, file, simulator, proxies)) {
          const cpuMs = median(costs.map((cost) => cost.cpuMs));
          progress(
            `xds, ${values.mesh}, ${proxies} proxies, round ${round + 1}: ${what}, ${server}: ${cpuMs.toFixed(0)} ms of CPU`,
          );
          results[server].set(what, [...(results[server].get(what) ?? []), ...costs]);
        }
      }
    }
    for (const [what, costs] of results.weft) rows.push(row(proxies, what, costs, results.bare.get(what) ?? []));
  }
  return rows;
}

const folder = mkdtempSync(join(tmpdir(), "weft-bench-"));
const simulator: SimulatorChild = new Child("xds-simulator.ts");
try {
  const rows = await measureAll(join(folder, "recording.json"), simulator);
  printFigures(
    "xds",
    `xDS over a ${values.mesh} mesh: ${values.services} HTTP services in ${namespaces} namespaces; beside it a bare gRPC server that sends the same bytes`,
    { mesh: values.mesh, services: Number(values.services), namespaces },
    rows,
  );
} finally {
  await simulator.end();
  rmSync(folder, { recursive: true, force: true });
}

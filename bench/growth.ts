/**
 * What proxies cost that are connected and stay: memory of the production server beside that of a bare grpc-js server, a
 * change for few of them and for all, and telling operators of them. `node bench/growth.ts [--proxies 10000]`; the last
 * line is JSON.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { mebibytes, printFigures, progress, type Row } from "./figures.ts";
import {
  bareGrowth,
  type GrowthOptions,
  laterGrowth,
  type Memory,
  type ServedGrowth,
  servedGrowth,
} from "./growth-run.ts";
import { rounded } from "./quantile.ts";
import { recordingOf } from "./recording.ts";

const { values } = parseArgs({
  options: {
    proxies: { type: "string", default: "10000" },
    services: { type: "string", default: "100" },
    larger: { type: "string", default: "400" },
    rest: { type: "string", default: "5" },
  },
});
const all = Number(values.proxies);
const few = Math.round(all / 10);
const larger = Number(values.larger);
const options: GrowthOptions = {
  scale: { services: Number(values.services), namespaces: 20, sidecars: 4 },
  few,
  all,
  restMs: Number(values.rest) * 1000,
  say: (text) => progress(`growth: ${text}`),
};

const kibibytes = (bytes: number): number => rounded(bytes / 1024);

function memoryRow(what: string, of: (memory: Memory) => number, weft: Memory, bare: Memory, target?: string): Row {
  return { what, weft: kibibytes(of(weft)), bare: kibibytes(of(bare)), target: target ?? null };
}

function rowsOf({ memory, changeOfFew, changeOfAll, listing, idleCpuMs }: ServedGrowth, bare: Memory, later: number) {
  const plain = (what: string, weft: number): Row => ({ what, weft: rounded(weft), bare: null, target: null });
  return [
    memoryRow("KiB for each proxy", (of) => (of.all - of.none) / all, memory, bare, "30 more than bare"),
    memoryRow(`KiB for each proxy after the first ${few}`, (of) => (of.all - of.few) / (all - few), memory, bare),
    plain(`KiB for each after the first ${few}, over ${larger} services`, later / 1024),
    plain(`a VirtualService changed with ${few}: CPU ms`, changeOfFew.cpuMs),
    plain(`a VirtualService changed with ${few}: P99 ms`, changeOfFew.p99),
    plain(`a VirtualService changed with ${all}: CPU ms`, changeOfAll.cpuMs),
    plain(`a VirtualService changed with ${all}: P99 ms`, changeOfAll.p99),
    plain("CPU while nothing happens, ms each second", idleCpuMs),
    plain("listing all proxies: ms", listing.ms),
    plain("listing all proxies: CPU ms", listing.cpuMs),
    plain("listing all proxies: MiB", mebibytes(listing.bytes)),
  ];
}

const folder = mkdtempSync(join(tmpdir(), "weft-bench-growth-"));
try {
  const { scale, say } = options;
  say("recording what the bare server is to send");
  const file = join(folder, "recording.json");
  writeFileSync(file, JSON.stringify(await recordingOf(scale, scale.sidecars)));
  say(`${all} proxies of the bare server`);
  const bare = await bareGrowth(file, options);
  say(`${all} proxies of the production server`);
  const served = await servedGrowth(options);
  say(`${2 * few} proxies over ${larger} services`);
  const later = await laterGrowth({ ...options, scale: { ...scale, services: larger }, all: 2 * few });
  printFigures(
    "growth",
    `${all} proxies of distinct workloads connected to the production server over ${scale.services} services in ${scale.namespaces} namespaces, ${scale.sidecars} of them behind a Sidecar; beside it a bare gRPC server that sends the same bytes`,
    { ...scale, proxies: all },
    rowsOf(served, bare, later),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

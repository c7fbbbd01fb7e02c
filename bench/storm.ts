/**
 * A storm of changes through the API of the production server, while one proxy stalls and others reconnect:
 * `node bench/storm.ts [--proxies 1000] [--rate 100] [--seconds 60]`. The last line is JSON.
 */
import { parseArgs } from "node:util";
import { mebibytes, printFigures, progress, type Row } from "./figures.ts";
import { rounded } from "./quantile.ts";
import { runStorm, type Sample, type StormResult } from "./storm-run.ts";

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "1000" },
    namespaces: { type: "string", default: "20" },
    sidecars: { type: "string", default: "4" },
    proxies: { type: "string", default: "1000" },
    rate: { type: "string", default: "100" },
    seconds: { type: "string", default: "60" },
  },
});
const services = Number(values.services);
const proxies = Number(values.proxies);
const scale = { services, namespaces: Number(values.namespaces), sidecars: Number(values.sidecars) };

/** Services that have a VirtualService and a DestinationRule. */
const ruled = Math.min(300, services);

function total({ processes }: Sample, of: "residentBytes" | "cpuMs"): number {
  return processes.reduce((sum, each) => sum + each[of], 0);
}

/** Memory as it went: of the whole tree, and of each process, at five times of the storm. */
function memoryRows(samples: readonly Sample[]): readonly Row[] {
  const at = [0, 0.25, 0.5, 0.75, 1].flatMap((part) => samples[Math.floor((samples.length - 1) * part)] ?? []);
  return at.map((sample) => {
    const parts = sample.processes.map(({ name, residentBytes }) => `${name} ${rounded(mebibytes(residentBytes))}`);
    const what = `memory after ${sample.at.toFixed(0)} s, MiB (${parts.join(", ")})`;
    return { what, value: rounded(mebibytes(total(sample, "residentBytes"))), target: "flat" };
  });
}

function rowsOf(result: StormResult): readonly Row[] {
  const { speed, samples } = result;
  const [first, last] = [samples[0], samples.at(-1)];
  const cpuMs = first && last ? total(last, "cpuMs") - total(first, "cpuMs") : 0;
  const row = (what: string, value: number, target: string | null = null): Row => ({ what, value, target });
  return [
    row("changes", result.changes),
    row("acknowledged by the API, P99 ms", rounded(result.acknowledgedP99)),
    row("at proxies that it concerns, P50 ms", rounded(speed.p50)),
    row("at proxies that it concerns, P99 ms", rounded(speed.p99), "1000"),
    row("at proxies that it concerns, last ms", rounded(speed.last)),
    row("changes that a proxy was never told of", speed.missed, "0"),
    row("all proxies have all, ms after the last change", rounded(result.convergedMs), "1000"),
    row("proxies that reconnected", result.reconnected),
    row("streams that the server ended", result.ended.length),
    row("bytes to each proxy", Math.round(result.bytesEach)),
    row("CPU of the storm, ms each second", rounded(cpuMs / Math.max(1, last?.at ?? 1))),
    ...memoryRows(samples),
    row("memory when all is over, MiB", rounded(mebibytes(result.restBytes))),
  ];
}

const result = await runStorm({
  scale,
  proxies,
  ruled,
  changesPerSecond: Number(values.rate),
  seconds: Number(values.seconds),
  reconnectMs: 1000,
  say: (text) => progress(`storm: ${text}`),
});
for (const problem of [...result.ended, ...result.speed.missing]) progress(`storm: ${problem}`);
if (result.problems.length > 0) throw new Error(`after the storm ${result.problems.join("; ")}`);
printFigures(
  "storm",
  `${values.rate} changes a second for ${values.seconds} s over ${services} HTTP services in ${scale.namespaces} namespaces, with ${proxies} proxies, of which one stalls and one reconnects each second; at the end each holds exactly what recomputation from scratch gives it`,
  { ...scale, proxies, rate: Number(values.rate), seconds: Number(values.seconds) },
  rowsOf(result),
);

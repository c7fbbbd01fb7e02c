/**
 * What a real Envoy's memory is in a mesh of 1,000 services when it holds them all, and when it holds only what its workload
 * calls. `node bench/on-demand.ts [--services 1000] [--called 10] [--rounds 3]`, as root: Envoy runs in a network namespace of its
 * own. The last line is JSON.
 */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type EgressScope, egressScope } from "#api/weft/egress-scope.ts";
import type { DiscoveryMode } from "#api/weft/discovery-mode.ts";
import { systemClock } from "#base/clock.ts";
import { Child, ownNamespaces } from "./child.ts";
import type { DriverAnswer, DriverRequest } from "./envoy-driver.ts";
import { mebibytes, printFigures, progress, type Row } from "./figures.ts";
import { programBytes } from "./process-tree.ts";
import { median, rounded } from "./quantile.ts";
import { Relay } from "./relay.ts";
import { ServedMesh } from "./served.ts";

const { values } = parseArgs({
  options: {
    services: { type: "string", default: "1000" },
    called: { type: "string", default: "10" },
    rounds: { type: "string", default: "3" },
    version: { type: "string", default: "1.40.0" },
  },
});
const scale = { services: Number(values.services), namespaces: 20, sidecars: 0 };
const called = Number(values.called);
const namespace = "ns-19";
const modes: readonly DiscoveryMode[] = ["All", "OnDemand"];

/** Milliseconds in which an Envoy that has everything lets go of what it needed to take it. */
const restMs = 1500;
const limitMs = 30_000;

/** Mebibytes, but for the clusters. */
interface Memory {
  readonly clusters: number;
  readonly resident: number;
  readonly allocated: number;
}

type Driver = Child<DriverRequest, DriverAnswer>;

async function admin(driver: Driver, path: string): Promise<string> {
  return (await driver.ask({ kind: "admin", path }, "told")).text;
}

/** Waits until Envoy serves with so many outbound clusters and their routes. */
async function complete(driver: Driver, clusters: number): Promise<number> {
  const end = performance.now() + limitMs;
  while (performance.now() < end) {
    const text = await admin(
      driver,
      "/stats?filter=^(cluster_manager.(active|warming)_clusters|listener_manager.total_listeners_warming)$",
    );
    const stat = (name: string): number => Number(new RegExp(`${name}: (\\d+)`).exec(text)?.[1] ?? Number.NaN);
    const ready = stat("warming_clusters") === 0 && stat("total_listeners_warming") === 0;
    if (ready && stat("active_clusters") >= clusters) return stat("active_clusters");
    await systemClock.sleep(100);
  }
  throw new Error(`Envoy did not get its ${clusters} clusters in ${limitMs / 1000} s`);
}

async function measure(served: ServedMesh, folder: string, mode: DiscoveryMode): Promise<Memory> {
  const socketPath = join(folder, `${mode}.sock`);
  await using _relay = await Relay.listen(socketPath, Number(served.ads.split(":")[1]));
  const driver: Driver = new Child("envoy-driver.ts", [], ownNamespaces);
  try {
    const id = `sidecar~10.20.0.20~${mode.toLowerCase()}-0.${namespace}~${namespace}.svc.cluster.local`;
    const metadata = { NAMESPACE: namespace, CLUSTER_ID: "main", LABELS: {}, WORKLOAD_NAME: mode.toLowerCase() };
    await driver.ask({ kind: "start", version: values.version, variant: "delta", socketPath, id, metadata }, "started");
    const clusters = await complete(driver, mode === "All" ? scale.services : called);
    await systemClock.sleep(restMs);
    const { allocated } = JSON.parse(await admin(driver, "/memory")) as { readonly allocated: string };
    return {
      clusters,
      resident: mebibytes(programBytes(driver.pid, "envoy")),
      allocated: mebibytes(Number(allocated)),
    };
  } finally {
    await driver.end();
  }
}

function rowOf(mode: DiscoveryMode, all: readonly Memory[]): Row {
  const of = (field: keyof Memory): number => rounded(median(all.map((each) => each[field])));
  return {
    discovery: mode,
    "services called": mode === "All" ? null : called,
    clusters: of("clusters"),
    "resident MiB": of("resident"),
    "allocated MiB": of("allocated"),
    rounds: all.length,
  };
}

const folder = mkdtempSync(join(tmpdir(), "weft-bench-on-demand-"));
try {
  progress(`on-demand: serving ${scale.services} services`);
  await using served = await ServedMesh.start(scale);
  const hosts = Array.from({ length: called }, (_, at) => ({
    host: `svc-${at}.ns-${at % scale.namespaces}.svc.cluster.local`,
  }));
  const spec: EgressScope["spec"] = { discovery: "OnDemand", hosts };
  await served.mesh.of<EgressScope>(egressScope).create({ metadata: { namespace, name: "ondemand" }, spec });
  const measured = new Map<DiscoveryMode, Memory[]>(modes.map((mode) => [mode, []]));
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const mode of modes) {
      const memory = await measure(served, folder, mode);
      measured.get(mode)?.push(memory);
      progress(`on-demand: ${mode}: ${rounded(memory.resident)} MiB with ${memory.clusters} clusters`);
    }
  }
  printFigures(
    "on-demand",
    `Envoy ${values.version} with one worker in a mesh of ${scale.services} services: its memory`,
    { services: scale.services, called, version: values.version },
    modes.map((mode) => rowOf(mode, measured.get(mode) ?? [])),
  );
} finally {
  rmSync(folder, { recursive: true, force: true });
}

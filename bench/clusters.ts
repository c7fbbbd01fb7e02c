/**
 * What following five clusters costs, real kube-apiservers whose nodes and Pods kwok plays: time and memory of the control plane from
 * its start to proxies that have everything, and how long one Pod's change takes to them; beside it, by turns, a program that only
 * lists and watches the same objects. `node bench/clusters.ts [--clusters 5] [--services 1000] [--pods 1] [--rounds 3] [--changes 20]`;
 * the last line is JSON. Builds Kubernetes and kwok if need be. As root.
 */
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { systemClock } from "#base/clock.ts";
import type { WatchAnswer, WatchedServer, WatchRequest } from "./bare-watch.ts";
import { Child } from "./child.ts";
import { ClustersMesh } from "./clusters-mesh.ts";
import { EndpointProxy } from "./endpoint-proxy.ts";
import { mebibytes, printFigures, progress, type Row } from "./figures.ts";
import { type ClusterSize, KwokCluster, namespaceOf } from "./kwok-cluster.ts";
import { monotonicMs } from "./monotonic.ts";
import { settled, treeUse, type TreeUse } from "./process-tree.ts";
import { median, quantile, rounded } from "./quantile.ts";

const { values } = parseArgs({
  options: {
    clusters: { type: "string", default: "5" },
    services: { type: "string", default: "1000" },
    pods: { type: "string", default: "1" },
    rounds: { type: "string", default: "3" },
    changes: { type: "string", default: "20" },
    rest: { type: "string", default: "30" },
  },
});
const clusterCount = Number(values.clusters);
const rounds = Number(values.rounds);
const size: ClusterSize = {
  services: Number(values.services),
  namespaces: 20,
  nodes: 10,
  replicas: Number(values.pods),
};
const endpoints = clusterCount * size.replicas;

/** What it cost to come to know everything. */
interface Synced {
  /** Milliseconds from the start of the process. */
  readonly ms: number;
  readonly cpuMs: number;
  readonly peakBytes: number;
  readonly restBytes: number;
  /** Milliseconds of CPU each second of rest. */
  readonly restCpuMs: number;
}

/** How long a Pod's change took, from its acknowledgement. */
interface Change {
  /** Until the program that only watches was told of the slice. */
  readonly watched: number;
  /** Until the first and the last proxy were told. */
  readonly first: number;
  readonly last: number;
}

type Watcher = Child<WatchRequest, WatchAnswer>;

/** What a process uses that has nothing to do any more, and has come to know everything. */
async function rested(pid: number, ms: number, settledUse: TreeUse): Promise<Synced> {
  const from = treeUse(pid);
  const restMs = Number(values.rest) * 1000;
  await systemClock.sleep(restMs);
  const after = treeUse(pid);
  return {
    ms,
    cpuMs: settledUse.cpuMs,
    peakBytes: after.peakBytes,
    restBytes: after.residentBytes,
    restCpuMs: ((after.cpuMs - from.cpuMs) * 1000) / restMs,
  };
}

async function startWatcher(
  file: string,
): Promise<{ readonly watcher: Watcher; readonly ms: number; objects: number; bytes: number }> {
  const from = monotonicMs();
  const watcher: Watcher = new Child("bare-watch.ts", [file]);
  const { at, objects, bytes } = await watcher.answer("synced");
  return { watcher, ms: at - from, objects, bytes };
}

function say(what: string, { ms, cpuMs, peakBytes, restBytes }: Synced): void {
  const [peak, rest] = [peakBytes, restBytes].map((bytes) => `${mebibytes(bytes).toFixed(0)} MiB`);
  progress(
    `${what}: synced after ${ms.toFixed(0)} ms, ${cpuMs.toFixed(0)} ms of CPU, at most ${peak}, at rest ${rest}`,
  );
}

/** Flips a Pod of each of several services, in one cluster after the other, and measures who is told when. */
async function changes(
  clusters: readonly KwokCluster[],
  proxies: readonly EndpointProxy[],
  watcher: Watcher,
): Promise<readonly Change[]> {
  const all: Change[] = [];
  // The first two warm up.
  for (let turn = -2; turn < Number(values.changes); turn += 1) {
    const server = (turn + 2) % clusters.length;
    const number = ((turn + 2) * 37) % size.services;
    const name = `svc-${number}`;
    const host = `${name}.${namespaceOf(number, size)}.svc.cluster.local`;
    for (const ready of [false, true]) {
      watcher.send({ kind: "next", server, service: name });
      const told = proxies.map(async (proxy) => proxy.told(host, ready ? endpoints : endpoints - 1));
      await clusters[server]!.setReady(number, 0, ready);
      const at = monotonicMs();
      const { at: watchedAt } = await watcher.answer("changed");
      const times = (await Promise.all(told)).map((each) => each - at);
      const change = { watched: watchedAt - at, first: Math.min(...times), last: Math.max(...times) };
      if (turn >= 0) all.push(change);
      // Kubernetes itself gathers changes of a service for a second.
      await systemClock.sleep(1500);
    }
  }
  return all;
}

function rowOf(subject: string, of: (pick: (one: Synced) => number) => number, times: readonly number[]): Row {
  const sorted = times.toSorted((a, b) => a - b);
  return {
    subject,
    "synced s": rounded(of(({ ms }) => ms) / 1000),
    "CPU s": rounded(of(({ cpuMs }) => cpuMs) / 1000),
    "at most MiB": rounded(mebibytes(of(({ peakBytes }) => peakBytes))),
    "at rest MiB": rounded(mebibytes(of(({ restBytes }) => restBytes))),
    "CPU at rest ms/s": rounded(of(({ restCpuMs }) => restCpuMs)),
    "Pod changed P50 ms": rounded(quantile(sorted, 0.5)),
    "P90 ms": rounded(quantile(sorted, 0.9)),
    "most ms": rounded(sorted.at(-1) ?? 0),
  };
}

/** The first row over the second. */
function ratioOf(one: Row, other: Row): Row {
  const ratio = (name: string): number | null => {
    const value = Number(one[name]) / Number(other[name]);
    return Number.isFinite(value) ? rounded(value) : null;
  };
  return Object.fromEntries(Object.keys(one).map((name) => [name, name === "subject" ? "weft / bare" : ratio(name)]));
}

async function run(stack: AsyncDisposableStack): Promise<void> {
  progress(`clusters: starting ${clusterCount} control planes of Kubernetes`);
  const clusters: KwokCluster[] = [];
  for (let index = 0; index < clusterCount; index += 1) clusters.push(stack.use(await KwokCluster.start(index, size)));
  for (const each of clusters) {
    const from = monotonicMs();
    await each.fill();
    const seconds = ((monotonicMs() - from) / 1000).toFixed(0);
    progress(
      `clusters: ${each.name} has ${size.services} services and ${size.services * size.replicas} Pods, after ${seconds} s`,
    );
  }
  const folder = mkdtempSync(join(tmpdir(), "weft-bench-watch-"));
  stack.defer(() => rmSync(folder, { recursive: true, force: true }));
  const file = join(folder, "servers.json");
  const addresses = clusters.map(({ cluster }) => cluster.address() as WatchedServer);
  writeFileSync(file, JSON.stringify(addresses), { mode: 0o600 });
  const mesh = stack.use(await ClustersMesh.start(clusters));
  const [weft, bare]: [Synced[], Synced[]] = [[], []];
  let [told, objects, bytes]: [readonly Change[], number, number] = [[], 0, 0];
  for (let round = 1; round <= rounds; round += 1) {
    await using turn = new AsyncDisposableStack();
    const started = await startWatcher(file);
    turn.defer(async () => started.watcher.end());
    ({ objects, bytes } = started);
    const { pid } = started.watcher;
    bare.push(await rested(pid, started.ms, await settled(pid)));
    say(`clusters, round ${round}, bare list and watch`, bare.at(-1)!);
    const discovery = turn.use(await mesh.discovery());
    await discovery.serves();
    const proxies = clusters.map(({ name }) => turn.use(new EndpointProxy(discovery.port, name)));
    const whole = proxies.map(async (proxy) => proxy.until(() => proxy.servicesWith(endpoints) === size.services));
    const ms = Math.max(...(await Promise.all(whole))) - discovery.startedAt;
    weft.push(await rested(discovery.daemon.pid, ms, await settled(discovery.daemon.pid)));
    say(`clusters, round ${round}, weft`, weft.at(-1)!);
    if (round < rounds) continue;
    progress(`clusters: changing ${values.changes} Pods`);
    told = await changes(clusters, proxies, started.watcher);
  }
  const of = (all: readonly Synced[]) => (pick: (one: Synced) => number) => median(all.map(pick));
  const rows = [
    rowOf(
      "weft discovery",
      of(weft),
      told.map(({ last }) => last),
    ),
    rowOf(
      "bare list and watch",
      of(bare),
      told.map(({ watched }) => watched),
    ),
  ] as const;
  const own = told.map(({ last, watched }) => last - watched).toSorted((a, b) => a - b);
  const serverUse = treeUse(mesh.server.pid);
  printFigures(
    "clusters",
    `${clusterCount} clusters of ${size.services} services and ${size.services * size.replicas} Pods each, the services the same in all: ${objects} objects, ${rounded(mebibytes(bytes))} MiB of JSON; medians of ${rounds} rounds. From a slice's event at the bare watcher to the last of ${clusterCount} proxies: P50 ${rounded(quantile(own, 0.5))} ms, P90 ${rounded(quantile(own, 0.9))} ms`,
    {
      clusters: clusterCount,
      ...size,
      objects,
      bytes,
      rounds,
      changes: told.length,
      ownP50Ms: rounded(quantile(own, 0.5)),
      ownP90Ms: rounded(quantile(own, 0.9)),
      apiServerMiB: rounded(mebibytes(serverUse.residentBytes)),
    },
    [...rows, ratioOf(...rows)],
  );
}

await using stack = new AsyncDisposableStack();
await run(stack);

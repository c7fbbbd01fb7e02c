/**
 * A mesh of replicas whose every process may die: real sidecars of a real cluster under load, while one member of etcd, API server and
 * control plane after another is killed and comes back.
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { destinationRule } from "#api/istio/destination-rule.ts";
import { peerAuthentication } from "#api/istio/peer-authentication.ts";
import { virtualService } from "#api/istio/virtual-service.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { type Pod, pod as podKind } from "#api/kubernetes/pod.ts";
import { systemClock } from "#base/clock.ts";
import { codeOf } from "#base/errors.ts";
import { command } from "#runtime/command.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { busy, eventually } from "../support/eventually.ts";
import { type Cluster, startCluster } from "./cluster.ts";
import { whileRunning } from "./daemon.ts";
import { startDns } from "./dns.ts";
import { ClusterNetwork } from "./network.ts";
import { startNode } from "./node.ts";
import { proxyImage } from "./proxy-image.ts";
import { type Discovery, ReplicatedMesh } from "./replicated-mesh.ts";
import {
  between,
  failures,
  injectionSettings,
  kubectl,
  type LoadState,
  loadOf,
  loadPod,
  packShop,
  shopIsReady,
  shopNamespace,
  shopPod,
  shopRoute,
  shopService,
} from "./shop.ts";

/** Milliseconds for which a user may notice the death of a process. */
const limitMs = 3_000;
const versions = ["v1", "v2"] as const;
type Version = (typeof versions)[number];
/** What is called: details by a route to one version, by a Service whose endpoints the test writes, and ratings. */
const services = ["details", "choice", "ratings"] as const;
const loads = ["load-1", "load-2"] as const;
/** Requests a second of each load to each service. */
const perSecond = 15;
const resources = new AsyncDisposableStack();
let cluster: Cluster;
let mesh: ReplicatedMesh;

/** Endpoints of the Service `choice`, which has no selector: a Pod of details. */
async function choose(version: Version): Promise<void> {
  const { metadata, status } = await cluster.api.client
    .of<Pod>(podKind)
    .get({ namespace: "shop", name: `details-${version}` });
  const targetRef = { kind: "Pod", namespace: "shop", name: metadata.name, uid: metadata.uid };
  const endpoints = [{ addresses: [status!.podIP!], conditions: { ready: true }, targetRef }];
  const place = { namespace: "shop", name: "choice-1" };
  const slices = cluster.api.client.of(endpointSlice);
  if (await slices.find(place)) await slices.patch(place, { kind: "merge", body: { endpoints } });
  else {
    const labels = { "kubernetes.io/service-name": "choice" };
    const named = [{ name: "http", port: 9080, protocol: "TCP" as const }];
    await slices.create({ metadata: { ...place, labels }, addressType: "IPv4", endpoints, ports: named });
  }
}

/** Sends details' route to a version, at whichever API server answers. */
async function route(version: Version): Promise<void> {
  const { spec } = shopRoute("details", version) as { spec: object };
  const routes = mesh.api.client.of(virtualService);
  for (;;) {
    try {
      await routes.patch({ namespace: "shop", name: "details" }, { kind: "merge", body: { spec } });
      return;
    } catch (error) {
      if (!["Unavailable", "DeadlineExceeded"].includes(codeOf(error))) throw error;
      await systemClock.sleep(20);
    }
  }
}

beforeAll(async () => {
  const network = resources.use(await ClusterNetwork.create("reps"));
  const [shop, proxy] = await Promise.all([packShop(), proxyImage("weft.dev/test/proxyv2:1")]);
  resources.use(shop);
  resources.use(proxy);
  const apiServer = ["--enable-aggregator-routing=true"];
  cluster = resources.use(await startCluster({ name: "east", network, apiServer }));
  resources.use(await startDns(cluster));
  resources.use(await startNode(cluster, { name: "n-east", images: [shop, proxy] }));
  mesh = resources.use(await ReplicatedMesh.start(cluster));
  await injectionSettings(mesh);
  const { client } = mesh.api;
  const strict = { mtls: { mode: "STRICT" } };
  await client
    .of(peerAuthentication)
    .create({ metadata: { namespace: "istio-system", name: "default" }, spec: strict });
  await client.of(namespaceKind).create({ metadata: { name: "shop" } });
  const subsets = versions.map((name) => ({ name, labels: { version: name } }));
  await client.of(destinationRule).create({
    metadata: { namespace: "shop", name: "details" },
    spec: { host: "details.shop.svc.cluster.local", subsets },
  });
  const routes = [shopRoute("details", "v1"), shopRoute("choice"), shopRoute("ratings")];
  for (const each of routes) await client.of(virtualService).create(each as never);
  const choice = { ...(shopService("choice") as { metadata: object; spec: object }) };
  const selectorless = { ...choice, spec: { ports: [{ name: "http", port: 9080, targetPort: 9080 }] } };
  await kubectl(cluster, "apply -f -", shopNamespace, shopService("details"), shopService("ratings"), selectorless);
  const pods = [
    ...versions.map((version) => shopPod("east", { service: "details", version })),
    shopPod("east", { service: "ratings", version: "v1" }),
  ];
  await kubectl(
    cluster,
    "apply -f -",
    ...pods,
    ...loads.map((name) => loadPod(["details", "choice/details", "ratings"], name, perSecond)),
  );
  await shopIsReady(cluster);
  await choose("v1");
}, 600_000);
afterAll(() => resources.disposeAsync());

const outcome = (version: Version): string => `200 ${version} east`;
const states = async (): Promise<readonly LoadState[]> => Promise.all(loads.map((name) => loadOf(cluster, name)));

/**
 * How late the last request of a load was that had the other version's answer, in milliseconds; undefined while such requests
 * may come, or none of the new version has come yet.
 */
function lateness({ at, last }: LoadState, service: string, version: Version, since: number): number | undefined {
  const other = last[service]?.[outcome(version === "v1" ? "v2" : "v1")] ?? 0;
  const own = last[service]?.[outcome(version)] ?? 0;
  return own > since && at - other > 700 ? Math.max(0, other - since) : undefined;
}

/** Milliseconds after which all sidecars that call a service had what was said at a moment. */
async function arrives(service: string, version: Version, since: number): Promise<number> {
  const check = async (): Promise<{ readonly late: number } | undefined> => {
    const all = (await states()).map((state) => lateness(state, service, version, since));
    return all.every((each) => each !== undefined) ? { late: Math.max(...all) } : undefined;
  };
  return (await eventually(`every sidecar has ${version} of ${service}`, check, 90_000)).late;
}

/** What a user noticed at a moment: how long the API took to answer, and a route and endpoints to reach every sidecar. */
interface Noticed {
  readonly answerMs: number;
  readonly routeMs: number;
  readonly endpointsMs: number;
}

let version: Version = "v1";
/** Changes a route and endpoints, as a user does. */
async function change(): Promise<Noticed> {
  version = version === "v1" ? "v2" : "v1";
  const asked = Date.now();
  await Promise.all([route(version), choose(version)]);
  const acknowledged = Date.now();
  const [routeMs, endpointsMs] = [
    await arrives("details", version, acknowledged),
    await arrives("choice", version, acknowledged),
  ];
  return { answerMs: acknowledged - asked, routeMs, endpointsMs };
}

const noticed: ({ readonly at: string; readonly when: string } & Noticed)[] = [];
async function changes(when: string): Promise<void> {
  const at = new Date().toISOString();
  noticed.push({ at, when, ...(await change()) });
}

/** Looks on while proxies move between control planes: how long each was without any. */
class StreamWatch {
  readonly #stop = new AbortController();
  readonly #seen = new Map<string, number>();
  readonly #done: Promise<void>;
  /** Milliseconds of the longest time of any proxy without a stream. */
  longest = 0;

  constructor() {
    this.#done = this.#run();
  }

  async #run(): Promise<void> {
    while (!this.#stop.signal.aborted) {
      const all = await Promise.all(mesh.discoveries.map(async (each) => mesh.proxiesOf(each)));
      const now = performance.now();
      for (const name of all.flat()) {
        this.longest = Math.max(this.longest, now - (this.#seen.get(name) ?? now));
        this.#seen.set(name, now);
      }
      await systemClock.sleep(100);
    }
  }

  /** How many proxies were seen. */
  get proxies(): number {
    return this.#seen.size;
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#done;
  }
}

const counts = async (): Promise<readonly number[]> =>
  Promise.all(mesh.discoveries.map(async (each) => (await mesh.proxiesOf(each)).length));

/** The control plane that has more proxies than the other. */
async function fuller(): Promise<Discovery> {
  const [a = 0, b = 0] = await counts();
  return mesh.discoveries[a >= b ? 0 : 1]!;
}

/** Looks at what came of the load since a moment: enough of it, and no failure of a request that began since. */
async function isUnhurt(since: readonly LoadState[]): Promise<void> {
  const all = await states();
  for (const service of services) {
    let sent = 0;
    for (const [index, now] of all.entries()) {
      const { at } = since[index]!;
      const { perSecond: rate, outcomes } = between(since[index]!, now, service);
      sent += rate;
      const failed = Object.entries(failures(outcomes)).flatMap(([what, count]) => {
        const last = now.last[service]?.[what] ?? 0;
        return last < at ? [] : [`${count} times ${what}, last at ${new Date(last).toISOString()}`];
      });
      expect({ service, failed }).toEqual({ service, failed: [] });
    }
    expect(sent).toBeGreaterThanOrEqual(20);
  }
}

/** What was noticed is short: mostly shorter than the limit, and never much longer on a machine that does much else. */
function isShort(all: readonly number[]): void {
  const sorted = all.toSorted((a, b) => a - b);
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(limitMs);
  expect(sorted.at(-1)).toBeLessThan(limitMs * busy);
}

describe("under load", () => {
  test("no death of a process fails a request, or keeps a change from every sidecar for 3 seconds", async () => {
    const daemons = mesh.discoveries.map(({ daemon }) => daemon);
    // One that moves is with both for a moment, and then with none.
    await whileRunning(daemons, "all sidecars are served", async () => {
      const served = await counts();
      if (served.reduce((sum, each) => sum + each, 0) === 5) return true;
      throw new Error(`the control planes serve ${served.join(" and ")} sidecars`);
    });
    await change();
    await eventually("no request fails", async () => {
      const before = await states();
      await systemClock.sleep(2_000);
      await isUnhurt(before);
      return true;
    });
    const since = await states();
    const streams = new StreamWatch();
    await changes("with all");
    for (const { daemon } of mesh.etcd.members) {
      await daemon.stop("SIGKILL");
      await changes(`without ${daemon.name} of etcd`);
      daemon.start();
      await mesh.etcd.ready();
      await changes(`with ${daemon.name} of etcd again`);
    }
    for (const server of mesh.servers) {
      await server.daemon.stop("SIGKILL");
      await changes(`without ${server.daemon.name}`);
      server.daemon.start();
      await mesh.answers(server);
      await changes(`with ${server.daemon.name} again`);
    }
    for (const signal of ["SIGKILL", "SIGTERM", "SIGKILL"] as const) {
      const one = await fuller();
      const ended = one.daemon.stop(signal);
      await changes(`without ${one.daemon.name} by ${signal}`);
      await ended;
      one.daemon.start();
      await mesh.takesProxies(one);
      const served = async (): Promise<boolean> => (await mesh.proxiesOf(one)).length > 0;
      // Each look at the balance, every five seconds, has one proxy of the other choose by chance.
      await whileRunning(daemons, `${one.daemon.name}, which came back, has proxies`, served, 180_000);
      await changes(`with ${one.daemon.name} again`);
    }
    await streams.stop();
    expect(streams.proxies).toBe(5);
    const { longest } = streams;
    console.table(noticed);
    console.log(`the longest time of a sidecar without a control plane was ${Math.round(longest)} ms`);
    await isUnhurt(since);
    isShort(noticed.map(({ answerMs }) => answerMs));
    isShort(noticed.map(({ routeMs }) => routeMs));
    isShort(noticed.map(({ endpointsMs }) => endpointsMs));
    expect(longest).toBeLessThan(limitMs * busy);
  }, 600_000);

  test("a host that is gone without a word is left by its proxies", async () => {
    const since = await states();
    const gone = await fuller();
    const on = (...argv: string[]): Promise<string> =>
      command(inside(namespacePath(gone.host.namespace), ["nft", ...argv] as [string, ...string[]]));
    const hook = (name: string): string =>
      `add chain inet gone ${name} { type filter hook ${name} priority 0; policy drop; }`;
    await on("add table inet gone");
    try {
      for (const name of ["input", "output"]) await on(hook(name));
      const { routeMs, endpointsMs } = await change();
      console.log(`a host was gone: a route took ${routeMs} ms, endpoints ${endpointsMs} ms to reach every sidecar`);
      // Twenty seconds until connections end, forty for a proxy of which nothing changes; then each attempt at an address that is
      // gone still costs two and a half.
      expect(Math.max(routeMs, endpointsMs)).toBeLessThan(50_000);
    } finally {
      await on("delete table inet gone");
    }
    await isUnhurt(since);
  }, 300_000);

  test("control planes that stand still, and workloads that are killed, are noticed", async () => {
    const since = await states();
    const pids = mesh.discoveries.map(({ daemon }) => daemon.pid);
    for (const pid of pids) process.kill(pid, "SIGSTOP");
    const late = change();
    await systemClock.sleep(limitMs * 2);
    for (const pid of pids) process.kill(pid, "SIGCONT");
    expect((await late).routeMs).toBeGreaterThan(limitMs);
    await kubectl(cluster, `delete pod details-${version} -n shop --now`);
    await eventually("requests fail", async () =>
      (await states()).some((now, index) => {
        const { outcomes } = between(since[index]!, now, "details");
        return Object.keys(failures(outcomes)).length > 0;
      }),
    );
    await expect(isUnhurt(since)).rejects.toThrow("to deeply equal");
  }, 300_000);
});

import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, expect, test } from "vitest";
import { openMesh } from "#analysis/snapshot.ts";
import { destinationRule } from "#api/istio/destination-rule.ts";
import { envoyFilter } from "#api/istio/envoy-filter.ts";
import { serviceEntry } from "#api/istio/service-entry.ts";
import { sidecar } from "#api/istio/sidecar.ts";
import { virtualService } from "#api/istio/virtual-service.ts";
import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { service } from "#api/kubernetes/service.ts";
import { mesh as meshKind } from "#api/weft/mesh.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { patience } from "#base/testing/runs.ts";
import { readMesh } from "#cli/analysis/live-mesh.ts";
import { eventually } from "#xds/testing/envoy.ts";
import { createXdsServer } from "#xds/server.ts";
import { difference, expectedNames } from "./expected.ts";
import { ServedMesh } from "./served.ts";
import { SimulatedProxy, simulatedNode } from "./xds-client.ts";
import { Scanner } from "./xds-wire.ts";

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

const scale = { services: 40, namespaces: 4, sidecars: 1 };
/** Workloads of services in all namespaces, and one of none. */
const numbers = [...Array.from({ length: 24 }, (_, number) => number), scale.services + 1];

/** What one proxy was sent need not be read again for the next. */
const scanner = new Scanner("delta");

/** Versions by name, by type. */
type Held = Readonly<Record<string, Readonly<Record<string, string>>>>;

/** Proxies of a server, by the numbers of their workloads. */
class Fleet implements Disposable {
  readonly #address: string;
  readonly #proxies = new Map<number, SimulatedProxy>();
  readonly #synced = new Set<SimulatedProxy>();
  readonly ends: string[] = [];

  constructor(address: string) {
    this.#address = address;
  }

  /** Connects a proxy; one of the same workload is closed before. */
  connect(number: number): void {
    this.#proxies.get(number)?.close();
    const proxy = new SimulatedProxy({
      address: this.#address,
      variant: "delta",
      node: simulatedNode(number, scale.namespaces),
      scanner,
      counts: { bytes: 0, responses: 0, acks: 0 },
      remember: true,
      record: false,
      onSynced: () => this.#synced.add(proxy),
      onEnd: (reason) => this.ends.push(`svc-${number}: ${reason}`),
    });
    this.#proxies.set(number, proxy);
  }

  async synced(): Promise<void> {
    const proxies = [...this.#proxies.values()];
    await eventually("all are in sync", () => proxies.every((proxy) => this.#synced.has(proxy)) || undefined);
  }

  /** What each proxy holds. */
  held(): ReadonlyMap<number, Held> {
    return new Map(
      [...this.#proxies].map(([number, { held }]) => [
        number,
        Object.fromEntries(
          [...held].map(([type, names]) => [
            type,
            Object.fromEntries([...names].toSorted(([a], [b]) => (a < b ? -1 : 1))),
          ]),
        ),
      ]),
    );
  }

  /** What proxies hold that the mesh's definition does not give them, or the other way round. */
  problems(): readonly string[] {
    return [...this.#proxies].flatMap(([number, { held }]) => difference(held, expectedNames(number, scale)));
  }

  [Symbol.dispose](): void {
    for (const proxy of this.#proxies.values()) proxy.close();
  }
}

/** What new proxies get from a server that has just read the same objects. */
async function recomputed({ mesh }: ServedMesh): Promise<ReadonlyMap<number, Held>> {
  using live = await readMesh(mesh);
  const { engine, translator: source } = openMesh(live.snapshot, { now: systemClock.now() });
  const listen = [{ host: "127.0.0.1", port: 0 }];
  await using server = await createXdsServer({
    source,
    engine,
    clock: systemClock,
    logger: silentLogger,
    listen,
    drainMs: 0,
  });
  const [address] = server.addresses;
  using fleet = new Fleet(`127.0.0.1:${address && "port" in address ? address.port : 0}`);
  for (const number of numbers) fleet.connect(number);
  await fleet.synced();
  return fleet.held();
}

const rule = { trafficPolicy: { outlierDetection: { consecutive5xxErrors: 3 } } };
const patch = { operation: "MERGE", value: { connect_timeout: "7s" } } as const;

/** Changes of all kinds, in the order in which they are made. */
const rounds: Readonly<Record<string, (served: ServedMesh, fleet: Fleet) => Promise<void>>> = {
  "rules appear": async (served) => {
    for (const number of [0, 1, 5]) await served.addRoute(number);
    const subsets = [{ name: "v1", labels: { version: "v1" } }];
    await served.mesh
      .of(destinationRule)
      .create({ metadata: { name: "svc-2", namespace: "ns-2" }, spec: { host: "svc-2", ...rule, subsets } });
  },
  "a rule and endpoints change": async (served) => {
    await served.change("route", 0, 1);
    await served.change("endpoints", 0, 1);
    await served.change("endpoints", 7, 1);
  },
  "a rule goes, a host comes, a proxy comes again": async (served, fleet) => {
    fleet.connect(3);
    await served.mesh.of(virtualService).delete({ name: "svc-1", namespace: "ns-1" });
    await served.mesh.of(serviceEntry).create({
      metadata: { name: "out", namespace: "ns-3" },
      spec: { hosts: ["out.example"], ports: [{ number: 81, name: "http", protocol: "HTTP" }], resolution: "DNS" },
    });
  },
  "a service comes and one goes": async ({ cluster }) => {
    const metadata = { name: "late", namespace: "ns-1" };
    const ports = [{ name: "http", port: 82 }];
    await cluster.of(service).create({ metadata, spec: { clusterIP: "10.100.9.9", selector: { app: "late" }, ports } });
    await cluster.of(endpointSlice).create({
      metadata: { ...metadata, labels: { "kubernetes.io/service-name": "late" } },
      addressType: "IPv4",
      ports,
      endpoints: [{ addresses: ["10.21.9.9"], conditions: { ready: true } }],
    });
    await cluster.of(service).delete({ name: "svc-6", namespace: "ns-2" });
    await cluster.of(endpointSlice).delete({ name: "svc-6", namespace: "ns-2" });
  },
  "Sidecars come and go": async ({ mesh }) => {
    await mesh.of(sidecar).delete({ name: "default", namespace: "ns-0" });
    await mesh
      .of(sidecar)
      .create({ metadata: { name: "default", namespace: "ns-3" }, spec: { egress: [{ hosts: ["ns-1/*"] }] } });
  },
  "a filter patches, the mesh's settings change": async ({ mesh }) => {
    await mesh.of(envoyFilter).create({
      metadata: { name: "timeout", namespace: "ns-2" },
      spec: { configPatches: [{ applyTo: "CLUSTER", match: { context: "SIDECAR_OUTBOUND" }, patch }] },
    });
    const spec = { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } };
    await mesh.of(meshKind).patch({ name: "default" }, { kind: "merge", body: { spec } });
  },
  "much goes again": async ({ mesh, cluster }) => {
    await mesh.of(serviceEntry).delete({ name: "out", namespace: "ns-3" });
    await mesh.of(envoyFilter).delete({ name: "timeout", namespace: "ns-2" });
    await cluster.of(service).delete({ name: "late", namespace: "ns-1" });
  },
};

test(
  "through changes of all kinds, each proxy of the production server holds what recomputation from scratch gives it",
  { timeout: patience(120_000) },
  async () => {
    const served = cleanup.use(await ServedMesh.start(scale));
    const fleet = cleanup.use(new Fleet(served.ads));
    for (const number of numbers) fleet.connect(number);
    await fleet.synced();
    expect(fleet.problems()).toEqual([]);
    expect(fleet.held()).toEqual(await recomputed(served));
    for (const [what, change] of Object.entries(rounds)) {
      const before = JSON.stringify([...fleet.held()]);
      await change(served, fleet);
      let wanted: ReadonlyMap<number, Held> = new Map();
      // The control plane writes objects too, such as addresses, and what is on its way gets a while.
      await eventually("proxies hold what recomputation gives", async () => {
        wanted = await recomputed(served);
        const text = JSON.stringify([...wanted]);
        return (text !== before && text === JSON.stringify([...fleet.held()])) || undefined;
      }).catch(() => expect([what, fleet.held()]).toEqual([what, wanted]));
      expect([what, JSON.stringify([...fleet.held()])]).not.toEqual([what, before]);
    }
    expect(fleet.ends).toEqual([]);
    expect(existsSync(served.kubeconfig)).toBe(true);
    fleet[Symbol.dispose]();
    await served[Symbol.asyncDispose]();
    expect(existsSync(dirname(served.kubeconfig))).toBe(false);
    expect(() => process.kill(served.pid, 0)).toThrow("ESRCH");
  },
);

import { chmodSync } from "node:fs";
import { join } from "node:path";
import { type Bootstrap, bootstrap } from "#agent/bootstrap.ts";
import { type ProxyNode, proxyNode, servesSecrets } from "#agent/node-metadata.ts";
import type { Pod } from "#api/kubernetes/pod.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { Engine } from "#incremental/engine.ts";
import type { MeshInput } from "#model/mesh.ts";
import { createModel } from "#model/model.ts";
import { createTranslator } from "#translate/translator.ts";
import { createXdsServer } from "#xds/server.ts";
import { grpcCluster } from "#xds/testing/grpc-cluster.ts";
import { objectsOf, place, podObject, serviceObjects } from "../../test/behaviour/objects.ts";

/** The two workloads. */
export const sides = ["client", "server"] as const;

/** One of them, which is the name of its Pod and of its service account too. */
export type Side = (typeof sides)[number];

/** Their Pods' addresses. */
export const addresses: Readonly<Record<Side, string>> = { client: "10.10.0.2", server: "10.10.0.3" };

/** Where the server is called: its service's address and host; and where it listens. */
export const called = {
  address: "10.110.0.1",
  port: 80,
  host: "server.bench.svc.cluster.local",
  listens: 8080,
} as const;

/** The namespace of both. */
export const namespace = "bench";

/** Worker threads of each Envoy: as many as Istio's chart gives, whose limit is two processors. */
export const workers = 2;

function podOf(side: Side): Pod {
  const labels = { app: side, "security.istio.io/tlsMode": "istio" };
  return podObject(side, namespace, addresses[side], labels, side) as unknown as Pod;
}

function nodeOf(side: Side): ProxyNode {
  const node = proxyNode({
    pod: podOf(side),
    role: "sidecar",
    address: addresses[side],
    agent: {
      cluster: "east",
      node: "east-1",
      region: "",
      zone: "",
      network: "",
      clusterDomain: "cluster.local",
      meshId: "cluster.local",
      envoy: { program: "", concurrency: workers },
    },
  });
  return { ...node, metadata: { ...node.metadata, [servesSecrets]: "true" } };
}

/** The agent serves both on one socket; here certificates come from another one. */
function withSecrets(made: Bootstrap, sds: string): Readonly<Record<string, unknown>> {
  const own = made["static_resources"] as { readonly clusters: readonly { readonly name: string }[] };
  const others = own.clusters.filter(({ name }) => name !== "sds-grpc");
  return {
    ...made,
    static_resources: { ...own, clusters: [...others, grpcCluster("sds-grpc", { pipe: { path: sds } })] },
  };
}

/** A control plane with the mesh of the benchmark: a service, and a workload that calls it. */
export interface BenchMesh extends AsyncDisposable {
  /**
   * How a proxy is started that is served its configuration here.
   * @param sds socket by which it is served its certificate.
   */
  readonly bootstrapOf: (side: Side, sds: string) => Readonly<Record<string, unknown>>;
}

/**
 * Starts one.
 * @param folder where its socket is made.
 * @param settings of the mesh.
 * @param objects of Istio's API, as YAML.
 */
export async function startMesh(folder: string, settings: MeshInput, objects: string): Promise<BenchMesh> {
  const engine = new Engine();
  const model = createModel(engine);
  const source = createTranslator(engine, model);
  const ports = [{ name: "http", port: called.port, to: "http" }] as const;
  const services = place(
    [{ name: "server", namespace, servedBy: ["server"], ports }],
    new Map([["server", addresses.server]]),
  );
  engine.change(() => {
    model.inputs.putCluster("east", "");
    model.inputs.setMesh(settings);
    for (const object of [...services.flatMap(serviceObjects), ...sides.map(podOf)]) model.inputs.put(object, "east");
    for (const object of objectsOf(objects)) model.inputs.put(object, "");
  });
  const socketPath = join(folder, "xds.sock");
  const server = await createXdsServer({
    source,
    engine,
    clock: systemClock,
    logger: silentLogger,
    listen: [{ socketPath }],
    drainMs: 0,
  });
  // Envoys run as a user of their own.
  chmodSync(socketPath, 0o666);
  return {
    bootstrapOf: (side, sds) => ({
      ...withSecrets(bootstrap({ node: nodeOf(side), xdsSocket: socketPath }), sds),
      // No agent is here that asks how its proxy is to be started.
      ...(settings.profile === "performance" && { stats_flush_on_admin: true }),
    }),
    [Symbol.asyncDispose]: () => server[Symbol.asyncDispose](),
  };
}

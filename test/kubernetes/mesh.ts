import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { cluster as clusterKind } from "#api/weft/cluster.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { systemClock } from "#base/clock.ts";
import { reachObjects } from "#controllers/reach/objects.ts";
import { Reach } from "#controllers/reach/reach.ts";
import { inside, namespacePath } from "#runtime/namespace.ts";
import { Api } from "../playground/cluster.ts";
import type { Cluster } from "./cluster.ts";
import { flags } from "./control-plane.ts";
import { admin } from "./credentials.ts";
import { Daemon, whileRunning } from "./daemon.ts";

const weft = join(import.meta.dirname, "..", "..", "weft");
export const ports = { xds: 15012, webhooks: 15017 };

/** A mesh over one cluster: its API server and its control plane run beside the cluster, on a host of the cluster's network. */
export interface TestMesh extends AsyncDisposable {
  /** The mesh's own API. */
  readonly api: Api;
  readonly server: Daemon;
  /** The control plane, which tests may stop and start. */
  readonly discovery: Daemon;
  /** Waits until it serves proxies and webhooks. */
  serves(): Promise<void>;
}

/** Starts a mesh whose one member is the cluster, in which Istio's Service `istio-system/istiod` leads to the control plane. */
export async function startMesh(cluster: Cluster): Promise<TestMesh> {
  const { network, name, folder: parent, credentials, internalUrl } = cluster;
  if (!network) throw new Error(`the cluster ${name} has no network`);
  await using starting = new AsyncDisposableStack();
  const folder = join(parent, "mesh");
  mkdirSync(folder, { mode: 0o700 });
  const host = await network.add("control plane of the mesh");
  const socket = join(folder, "api-mesh.sock");
  const files = ["--store", join(folder, "store.db"), "--run-dir", folder, "--mesh-port", "0"];
  const server = starting.use(
    new Daemon({ name: "weft server", argv: [weft, "server", ...files], log: join(folder, "server.log") }).start(),
  );
  const api = new Api({ url: `unix://${socket}` });
  starting.defer(() => api.connection[Symbol.dispose]());
  await whileRunning([server], "the mesh's API is ready", async () => {
    const answer = await api.connection.send({ method: "GET", path: "/readyz" }).catch(() => undefined);
    return answer?.status === 200;
  });
  await api.client.of(clusterKind).create({ metadata: { name }, spec: { server: internalUrl } });
  const kubeconfig = credentials.kubeconfig("weft-discovery", internalUrl, admin);
  await istiodService(cluster, host.address);
  const argv = inside(namespacePath(host.namespace), [
    weft,
    "discovery",
    ...flags({
      "mesh-api": `unix://${socket}`,
      "cluster-api": `${name}=${kubeconfig}`,
      "tls-address": `0.0.0.0:${ports.xds}`,
      "webhook-address": `0.0.0.0:${ports.webhooks}`,
      "status-socket": join(folder, "discovery.sock"),
    }),
  ]);
  const discovery = starting.use(
    new Daemon({ name: "weft discovery", argv, log: join(folder, "discovery.log") }).start(),
  );
  const serves = (): Promise<void> =>
    whileRunning([server, discovery], "the control plane serves", () => discovery.log.includes("serving proxies")).then(
      () => undefined,
    );
  await serves();
  const owned = starting.move();
  return { api, server, discovery, serves, [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

/** Istio's Service of the control plane, whose replicas are outside of the cluster. */
async function istiodService({ api }: Cluster, ...addresses: readonly string[]): Promise<void> {
  await api.client.of(namespace).create({ metadata: { name: "istio-system" } });
  const address = { revision: "default", hosts: addresses, xds: ports.xds, webhooks: ports.webhooks };
  await new Reach(api.client, systemClock).make(reachObjects(address));
}

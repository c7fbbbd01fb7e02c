import { endpointSlice } from "#api/kubernetes/endpoint-slice.ts";
import { service, type Service } from "#api/kubernetes/service.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { Informer } from "#kube/informer.ts";
import { NameServer } from "../support/name-server.ts";
import type { Cluster } from "./cluster.ts";

/** What the Service of a cluster's name server is called everywhere. */
const own = { namespace: "kube-system", name: "kube-dns" };

/**
 * Gives a cluster with a network the name server that its Pods ask: it knows Services that have an address, by the names of
 * Kubernetes' DNS specification, over UDP. It listens on the host of the control plane.
 */
export async function startDns(cluster: Cluster): Promise<AsyncDisposable> {
  const { host, api } = cluster;
  if (host === undefined) throw new Error(`the cluster ${cluster.name} has no network for nodes`);
  await using stack = new AsyncDisposableStack();
  const addresses = new Map<string, string>();
  stack.use(await NameServer.start(host.namespace, addresses, host.address));
  const client = api.client.of<Service>(service);
  const services = new Informer({ client, clock: systemClock, logger: silentLogger });
  services.onChange(({ before, after }) => {
    const { name, namespace } = (after ?? before)!.metadata;
    const address = after?.spec.clusterIP;
    const full = `${name}.${namespace}.svc.cluster.local`;
    if (address === undefined || address === "None") addresses.delete(full);
    else addresses.set(full, address);
  });
  const stop = new AbortController();
  const running = services.run(stop.signal);
  stack.defer(async () => {
    stop.abort();
    await running;
  });
  const ports = [{ name: "dns", port: 53, protocol: "UDP" as const }];
  await client.create({
    metadata: own,
    spec: { type: "ClusterIP", sessionAffinity: "None", clusterIP: cluster.dnsAddress, ports },
  });
  await api.client.of(endpointSlice).create({
    metadata: { ...own, labels: { "kubernetes.io/service-name": own.name } },
    addressType: "IPv4",
    endpoints: [{ addresses: [host.address], conditions: { ready: true } }],
    ports,
  });
  const owned = stack.move();
  return { [Symbol.asyncDispose]: () => owned.disposeAsync() };
}

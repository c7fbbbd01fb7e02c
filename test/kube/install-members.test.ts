import { expect, test } from "vitest";
import { node } from "#api/kubernetes/node.ts";
import { type Service, service } from "#api/kubernetes/service.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock as clock } from "#base/clock.ts";
import { membersApi, membersDiscovery, placesAt, placesOf } from "#controllers/install/members.ts";
import type { InstallMembers } from "#controllers/install/options.ts";
import { becomeReady } from "#controllers/install/readiness.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";

const namespace = "istio-system";

/** A cluster with the Services by which others reach it. */
async function clusterWith(members: InstallMembers, stack: AsyncDisposableStack): Promise<Client> {
  const server = stack.use(await startTestServer());
  await createNamespace(server, "east", namespace);
  const client = new Client(stack.use(new Connection({ url: server.url("east") }, { clock })));
  for (const { apiVersion: _version, kind: _kind, ...object } of [
    membersApi(members),
    membersDiscovery(members, "1-1"),
  ])
    await client.of(service).create(object);
  return client;
}

test("other clusters reach an installation by what its load balancers say, which is waited for", async () => {
  await using stack = new AsyncDisposableStack();
  const members = { type: "LoadBalancer", hosts: [] } as const;
  const client = await clusterWith(members, stack);
  const told: string[] = [];
  const patience = {
    clock,
    limitMs: 300,
    told: (text: string) => told.push(text),
    signal: new AbortController().signal,
  };
  await expect(becomeReady(client, [membersApi(members)], patience)).rejects.toThrow(
    /Service weft-members-api has no address of a load balancer yet\. .*--members NodePort/,
  );
  const balance = (name: string, ingress: object): Promise<unknown> => {
    const body = { status: { loadBalancer: { ingress: [ingress] } } };
    return client.of(service).patch({ namespace, name }, { kind: "merge", body }, { subresource: "status" });
  };
  await balance("weft-members-api", { hostname: "api.example.com" });
  await balance("weft-members-istiod-1-1", { ip: "192.0.2.7" });
  await becomeReady(client, [membersApi(members), membersDiscovery(members, "1-1")], patience);
  expect(await placesOf(client, members, "1-1")).toEqual({
    api: { hosts: ["api.example.com"], port: 15_443 },
    discovery: { hosts: ["192.0.2.7"], xds: 15_012, webhooks: 15_017 },
  });
});

test("they reach it by ports of nodes, whose addresses of outside count first, or by hosts that were told", async () => {
  await using stack = new AsyncDisposableStack();
  const members = { type: "NodePort", hosts: [] } as const;
  const client = await clusterWith(members, stack);
  await expect(placesOf(client, members, "1-1")).rejects.toThrow("say by --members-host");
  const internal = [{ type: "InternalIP", address: "10.0.0.1" }];
  const outside = [...internal, { type: "ExternalIP", address: "192.0.2.1" }];
  for (const [name, addresses] of [
    ["n1", internal],
    ["n2", outside],
  ] as const) {
    await client.of(node).create({ metadata: { name }, spec: {} });
    await client
      .of(node)
      .patch({ name }, { kind: "merge", body: { status: { addresses } } }, { subresource: "status" });
  }
  await expect(placesOf(client, members, "1-1")).rejects.toThrow("has no port of nodes for https-members");
  // Kubernetes gives Services such ports.
  const give = async (name: string, ...nodePorts: readonly number[]): Promise<void> => {
    const { spec } = await client.of<Service>(service).get({ namespace, name });
    const ports = spec.ports?.map((port, index) => ({ ...port, nodePort: nodePorts[index] }));
    await client.of(service).patch({ namespace, name }, { kind: "merge", body: { spec: { ports } } });
  };
  await give("weft-members-api", 31_443);
  await give("weft-members-istiod-1-1", 31_012, 31_017);
  expect(await placesOf(client, members, "1-1")).toEqual({
    api: { hosts: ["192.0.2.1"], port: 31_443 },
    discovery: { hosts: ["192.0.2.1"], xds: 31_012, webhooks: 31_017 },
  });
  const told = { ...members, hosts: ["198.51.100.1", "198.51.100.2"] };
  expect((await placesOf(client, told, "1-1")).api.hosts).toEqual(told.hosts);
  expect(placesAt(["mesh.example.com"]).discovery).toEqual({
    hosts: ["mesh.example.com"],
    xds: 15_012,
    webhooks: 15_017,
  });
});

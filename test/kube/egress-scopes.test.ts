import { expect, test } from "vitest";
import { type EgressScope, egressScope, mostScopeHosts } from "#api/weft/egress-scope.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { ScopeKeeper } from "#controllers/egress-scopes/keeper.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { eventually } from "../support/eventually.ts";

test("what workloads call is kept beside what a user wrote, within bounds", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startTestServer());
  const client = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
  await createNamespace(server, "mesh", "shop");
  const scopes = client.of<EgressScope>(egressScope);
  const keeper = new ScopeKeeper({ client, clock: systemClock, logger: silentLogger });
  const stop = new AbortController();
  const running = keeper.run(stop.signal);
  stack.defer(async () => {
    stop.abort();
    await running;
  });
  const kept = async (name: string, count: number): Promise<EgressScope["spec"]> =>
    eventually(`${name} has ${count} hosts`, async () => {
      const found = await scopes.find({ namespace: "shop", name });
      return found?.spec.hosts.length === count ? found.spec : undefined;
    });

  keeper.keep("shop/page", ["a.shop.svc.cluster.local", "b.shop.svc.cluster.local"]);
  keeper.keep("shop/page", ["b.shop.svc.cluster.local", "*.example.com"]);
  const first = await kept("page", 3);
  expect(first.hosts.map(({ host }) => host)).toEqual([
    "a.shop.svc.cluster.local",
    "b.shop.svc.cluster.local",
    "*.example.com",
  ]);
  for (const { firstUsed } of first.hosts) expect(firstUsed).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);

  // A user takes one away, and says what holds for the workload.
  const body = { spec: { discovery: "OnDemand", hosts: [{ host: "a.shop.svc.cluster.local" }] } };
  await scopes.patch({ namespace: "shop", name: "page" }, { kind: "merge", body });
  keeper.keep("shop/page", ["c.shop.svc.cluster.local"]);
  expect(await kept("page", 2)).toMatchObject({
    discovery: "OnDemand",
    hosts: [{ host: "a.shop.svc.cluster.local" }, { host: "c.shop.svc.cluster.local" }],
  });

  // A namespace that is not there takes no other workload's turn.
  keeper.keep("nowhere/page", ["a.shop.svc.cluster.local"]);
  const many = Array.from({ length: mostScopeHosts + 10 }, (_, at) => `h-${at}.example.com`);
  keeper.keep("shop/greedy", many.slice(0, 600));
  await kept("greedy", 600);
  keeper.keep("shop/greedy", many);
  await kept("greedy", mostScopeHosts);

  await expect(
    scopes.create({ metadata: { namespace: "shop", name: "bad" }, spec: { hosts: [{ host: "a b" }] } }),
  ).rejects.toThrow(/spec.hosts\[0\].host/);
  await expect(
    scopes.create({
      metadata: { namespace: "shop", name: "bad" },
      spec: { discovery: "Sometimes" as "All", hosts: [] },
    }),
  ).rejects.toThrow(/spec.discovery/);
});

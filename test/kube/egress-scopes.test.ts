import { isDeepStrictEqual } from "node:util";
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

const dayMs = 86_400_000;

/** A keeper on an API of its own, whose time passes when told to. */
async function keeping(stack: AsyncDisposableStack) {
  const server = stack.use(await startTestServer());
  const client = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
  await createNamespace(server, "mesh", "shop");
  const scopes = client.of<EgressScope>(egressScope);
  const facts = { proxies: 0, unknownHosts: [] as string[], mayForget: (_host: string): boolean => true };
  let later = 0;
  const clock = { ...systemClock, now: () => systemClock.now() + later };
  const options = { client, clock, logger: silentLogger, facts: () => facts, lifeMs: () => 30 * dayMs };
  const keeper = new ScopeKeeper(options);
  const stop = new AbortController();
  const running = keeper.run(stop.signal);
  stack.defer(async () => {
    stop.abort();
    await running;
  });
  const find = async (name: string) => scopes.find({ namespace: "shop", name });
  return {
    keeper,
    scopes,
    facts,
    find,
    kept: async (name: string, learned: readonly string[]): Promise<EgressScope> =>
      eventually(`${name} has learned ${learned.length} hosts`, async () => {
        const found = await find(name);
        if (found) keeper.seen(found);
        return isDeepStrictEqual(
          found?.status?.learned?.map(({ host }) => host),
          learned,
        )
          ? found
          : undefined;
      }),
    pass: (days: number) => {
      later += days * dayMs;
      keeper.recheck();
    },
  };
}

test("what workloads call is kept apart from what a user declares, within bounds", async () => {
  await using stack = new AsyncDisposableStack();
  const { keeper, scopes, kept, find } = await keeping(stack);

  keeper.keep("shop/page", ["a.shop.svc.cluster.local", "b.shop.svc.cluster.local"]);
  keeper.keep("shop/page", ["b.shop.svc.cluster.local", "*.example.com"]);
  const first = await kept("page", ["a.shop.svc.cluster.local", "b.shop.svc.cluster.local", "*.example.com"]);
  expect(first.spec.hosts).toEqual([]);
  for (const { firstUsed, lastUsed } of first.status?.learned ?? []) {
    expect(firstUsed).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(lastUsed).toBe(firstUsed);
  }

  // A user declares one, and says what holds for the workload.
  const body = { spec: { discovery: "OnDemand", hosts: [{ host: "a.shop.svc.cluster.local" }] } };
  await scopes.patch({ namespace: "shop", name: "page" }, { kind: "merge", body });
  keeper.keep("shop/page", ["c.shop.svc.cluster.local"]);
  expect(await kept("page", ["b.shop.svc.cluster.local", "*.example.com", "c.shop.svc.cluster.local"])).toMatchObject(
    body,
  );

  // A namespace that is not there takes no other workload's turn.
  keeper.keep("nowhere/page", ["a.shop.svc.cluster.local"]);
  const many = Array.from({ length: mostScopeHosts + 10 }, (_, at) => `h-${at}.example.com`);
  keeper.keep("shop/greedy", many.slice(0, 600));
  await kept("greedy", many.slice(0, 600));
  keeper.keep("shop/greedy", many);
  await kept("greedy", many.slice(0, mostScopeHosts));

  await expect(
    scopes.create({ metadata: { namespace: "shop", name: "bad" }, spec: { hosts: [{ host: "a b" }] } }),
  ).rejects.toThrow(/spec.hosts\[0\].host/);
  await expect(
    scopes.create({
      metadata: { namespace: "shop", name: "bad" },
      spec: { discovery: "Sometimes" as "All", hosts: [] },
    }),
  ).rejects.toThrow(/spec.discovery/);
  expect(await find("bad")).toBeUndefined();
});

test("what is not called any more is forgotten, and an object that only kept it goes; who holds it is told", async () => {
  await using stack = new AsyncDisposableStack();
  const { keeper, scopes, facts, find, kept, pass } = await keeping(stack);
  const spec = { hosts: [{ host: "declared.shop.svc.cluster.local" }] };
  await scopes.create({ metadata: { namespace: "shop", name: "written" }, spec });
  facts.proxies = 2;
  facts.unknownHosts = ["gone.shop.svc.cluster.local"];
  for (const name of ["page", "written"]) {
    keeper.keep(`shop/${name}`, ["gone.shop.svc.cluster.local", "used.shop.svc.cluster.local"]);
    const { status } = await kept(name, ["gone.shop.svc.cluster.local", "used.shop.svc.cluster.local"]);
    expect(status).toMatchObject({ proxies: 2, unknownHosts: ["gone.shop.svc.cluster.local"] });
  }
  pass(20);
  for (const name of ["page", "written"]) keeper.keep(`shop/${name}`, ["used.shop.svc.cluster.local"]);
  pass(15);
  await kept("page", ["used.shop.svc.cluster.local"]);
  await kept("written", ["used.shop.svc.cluster.local"]);

  // Nobody knows whether the rest is called, and then somebody does.
  facts.mayForget = () => false;
  pass(40);
  facts.proxies = 1;
  keeper.recheck();
  await eventually("the count is told", async () => (await find("page"))?.status?.proxies === 1);
  await kept("page", ["used.shop.svc.cluster.local"]);
  facts.mayForget = () => true;
  facts.proxies = 0;
  keeper.recheck();
  await eventually("it is gone", async () => (await find("page")) === undefined);
  expect((await kept("written", [])).spec).toEqual(spec);
});

import { expect, test } from "vitest";
import { type ServiceEntry, serviceEntry } from "#api/istio/service-entry.ts";
import { createNamespace } from "#apiserver/testing/objects.ts";
import { startTestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { AddressAllocator } from "#controllers/addresses/allocator.ts";
import type { HostAddress } from "#controllers/addresses/entries.ts";
import { Engine } from "#incremental/engine.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { createModel } from "#model/model.ts";
import { Intake } from "#sources/intake.ts";
import { followMesh } from "#sources/mesh.ts";
import { eventually } from "../support/eventually.ts";

/** A control plane's allocator, until disposed. */
function follow(client: Client): AsyncDisposable {
  const engine = new Engine();
  const model = createModel(engine);
  const allocator = new AddressAllocator({ client, clock: systemClock, logger: silentLogger });
  const stop = new AbortController();
  const intake = new Intake({ engine, clock: systemClock, logger: silentLogger });
  const context = { intake, clock: systemClock, logger: silentLogger, audience: allocator };
  const source = followMesh(client, model, "default", context, stop.signal);
  const running = source.synced.then(async () => allocator.run(stop.signal));
  return {
    async [Symbol.asyncDispose]() {
      stop.abort();
      await Promise.all([source.done, running]);
      intake[Symbol.dispose]();
    },
  };
}

test("hosts without addresses get one each, keep it, and give way to what a user wrote", async () => {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(await startTestServer());
  const client = new Client(stack.use(new Connection({ url: server.url("mesh") }, { clock: systemClock })));
  await createNamespace(server, "mesh", "shop");
  const entries = client.of<ServiceEntry>(serviceEntry);
  const tcp = { number: 5432, name: "tcp", protocol: "TCP" };
  const create = async (name: string, spec: ServiceEntry["spec"]): Promise<unknown> =>
    entries.create({ metadata: { namespace: "shop", name }, spec: { ports: [tcp], resolution: "DNS", ...spec } });
  const given = async (name: string): Promise<readonly HostAddress[]> => {
    const { status } = await entries.get({ namespace: "shop", name });
    return (status as { readonly addresses?: readonly HostAddress[] } | undefined)?.addresses ?? [];
  };
  const all = async (count: number): Promise<readonly string[]> =>
    eventually(`${count} addresses are given`, async () => {
      const { items } = await entries.list({ namespace: "shop" });
      const found = (await Promise.all(items.map(async ({ metadata }) => given(metadata.name)))).flat();
      return found.length === count ? found.map(({ value }) => value) : undefined;
    });

  const first = follow(client);
  await Promise.all(
    Array.from({ length: 20 }, async (_, at) => create(`db-${at}`, { hosts: [`db-${at}.example.com`] })),
  );
  await create("two", {
    hosts: ["a.example.com", "b.example.com"],
    ports: [{ number: 443, name: "tls", protocol: "TLS" }],
  });
  await create("own", { hosts: ["own.example.com"], addresses: ["10.0.0.9"] });
  await create("none", { hosts: ["none.example.com"], resolution: "NONE" });
  const before = await all(22);
  expect(new Set(before).size).toBe(22);
  for (const address of before) expect(address).toMatch(/^240\.240\.\d+\.\d+$/);
  expect((await given("two")).map(({ host }) => host)).toEqual(["a.example.com", "b.example.com"]);
  await first[Symbol.asyncDispose]();

  // Another control plane finds all as it was, and a user takes an address that was given.
  stack.use(follow(client));
  const [lost] = await given("db-3");
  await create("thief", { hosts: ["thief.example.com"], addresses: [lost!.value] });
  await eventually("the entry has another address", async () => {
    const [now] = await given("db-3");
    return now !== undefined && now.value !== lost!.value;
  });
  const after = await all(22);
  expect(after.filter((address) => !before.includes(address))).toHaveLength(1);
  expect(new Set([...after, lost!.value]).size).toBe(23);

  await entries.patch(
    { namespace: "shop", name: "two" },
    { kind: "merge", body: { spec: { addresses: ["10.0.0.8"] } } },
  );
  await eventually("what is needed no longer is gone", async () => (await given("two")).length === 0);
});

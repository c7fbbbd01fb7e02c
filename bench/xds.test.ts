import { afterEach, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { typeUrls } from "#proto/encoded.ts";
import { classResources } from "#translate/proxy-resources.ts";
import { put, scaleMesh, scaleNode, serviceObjects, virtualService } from "#translate/testing/scale.ts";
import { createXdsServer } from "#xds/server.ts";
import { eventually } from "#xds/testing/envoy.ts";
import { SimulatedProxy, simulatedNode } from "./xds-client.ts";
import { Scanner } from "./xds-wire.ts";

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

test("every simulated proxy holds what recomputation from scratch gives it, before and after changes", async () => {
  const scale = { services: 40, namespaces: 4, sidecars: 2 };
  const mesh = scaleMesh(scale);
  const { engine, translator: source } = mesh;
  const listen = [{ host: "127.0.0.1", port: 0 }];
  const server = await createXdsServer({
    source,
    engine,
    clock: systemClock,
    logger: silentLogger,
    listen,
    drainMs: 0,
  });
  cleanup.use(server);
  const [address] = server.addresses;
  const port = address && "port" in address ? address.port : 0;
  const counts = { bytes: 0, responses: 0, acks: 0 };
  const scanner = new Scanner("delta");
  let synced = 0;
  const ends: string[] = [];
  const proxies = Array.from({ length: 20 }, (_, index) => {
    const proxy = new SimulatedProxy({
      address: `127.0.0.1:${port}`,
      variant: "delta",
      node: simulatedNode(index, scale.namespaces),
      scanner,
      counts,
      remember: true,
      record: false,
      onSynced: () => {
        synced += 1;
      },
      onEnd: (reason) => ends.push(reason),
    });
    cleanup.defer(() => proxy.close());
    return proxy;
  });
  await eventually("all are in sync", () => synced === proxies.length || undefined);
  const expected = (index: number): Record<string, Record<string, string>> => {
    const { translator } = mesh;
    const all = classResources(translator, translator.classOf(scaleNode(index, scale), true));
    const versions = (resources: (typeof all)["cluster"]) =>
      Object.fromEntries([...resources].map(([name, { version }]) => [name, version]));
    return {
      [typeUrls.cluster]: versions(all.cluster),
      [typeUrls.endpoints]: versions(all.endpoints),
      [typeUrls.listener]: versions(all.listener),
      [typeUrls.route]: versions(all.route),
      [typeUrls.virtualHost]: versions(all.virtualHost),
    };
  };
  const held = (proxy: SimulatedProxy) =>
    Object.fromEntries([...proxy.held].map(([type, names]) => [type, Object.fromEntries(names)]));
  const check = async (): Promise<void> => {
    for (const [index, proxy] of proxies.entries()) {
      const wanted = expected(index);
      // What is on its way gets a while; then the difference is shown.
      await eventually(
        "it came",
        () => JSON.stringify(sorted(held(proxy))) === JSON.stringify(sorted(wanted)) || undefined,
      ).catch(() => expect(held(proxy)).toEqual(wanted));
    }
  };
  await check();
  for (let generation = 1; generation <= 3; generation += 1) {
    engine.change(() => {
      put(mesh, virtualService(generation, scale, generation));
      for (const object of serviceObjects(generation + 5, scale, generation % 2)) put(mesh, object);
    });
    for (const object of serviceObjects(scale.services + generation, scale)) put(mesh, object);
    await check();
  }
  expect(ends).toEqual([]);
}, 60_000);

function sorted(value: Readonly<Record<string, Readonly<Record<string, string>>>>): unknown {
  return Object.entries(value).map(([type, names]) => [
    type,
    Object.entries(names).toSorted(([a], [b]) => (a < b ? -1 : 1)),
  ]);
}

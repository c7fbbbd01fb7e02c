import { existsSync } from "node:fs";
import { dirname } from "node:path";
import { afterEach, expect, test } from "vitest";
import { patience } from "#base/testing/runs.ts";
import { typeUrls } from "#proto/encoded.ts";
import { eventually } from "#xds/testing/envoy.ts";
import { ServedMesh } from "./served.ts";
import { SimulatedProxy, simulatedNode } from "./xds-client.ts";
import { Scanner } from "./xds-wire.ts";

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

test(
  "a served mesh has what was asked for, follows changes, and leaves nothing",
  { timeout: patience(120_000) },
  async () => {
    const served = cleanup.use(await ServedMesh.start({ services: 40, namespaces: 4, sidecars: 1 }));
    expect(existsSync(served.kubeconfig)).toBe(true);
    const ends: string[] = [];
    const proxyOf = (index: number): SimulatedProxy => {
      const proxy = new SimulatedProxy({
        address: served.ads,
        variant: "delta",
        node: simulatedNode(index, 4),
        scanner: new Scanner("delta"),
        counts: { bytes: 0, responses: 0, acks: 0 },
        remember: true,
        record: false,
        onSynced: () => undefined,
        onEnd: (reason) => ends.push(reason),
      });
      cleanup.defer(() => proxy.close());
      return proxy;
    };
    const services = ({ held }: SimulatedProxy): number =>
      [...(held.get(typeUrls.cluster)?.keys() ?? [])].filter((name) => name.startsWith("outbound|80||svc-")).length;
    // ns-0 is behind a Sidecar, so its proxies see the ten services of their own namespace.
    for (const [index, seen] of [
      [0, 10],
      [1, 40],
    ] as const) {
      const proxy = proxyOf(index);
      const host = `80/svc-${index}.ns-${index}.svc.cluster.local:80`;
      const version = await eventually("its own host is there", () => proxy.held.get(typeUrls.virtualHost)?.get(host));
      await eventually("it has what it sees", () => services(proxy) === seen || undefined);
      expect(proxy.held.get(typeUrls.endpoints)?.size).toBe(seen);
      await served.addRoute(index);
      await eventually("the change came", () => {
        const now = proxy.held.get(typeUrls.virtualHost)?.get(host);
        return (now !== undefined && now !== version) || undefined;
      });
      proxy.close();
    }
    expect(ends).toEqual([]);
    await served[Symbol.asyncDispose]();
    expect(existsSync(dirname(served.kubeconfig))).toBe(false);
    expect(() => process.kill(served.pid, 0)).toThrow("ESRCH");
  },
);

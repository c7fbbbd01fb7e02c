import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { createServer, type AddressInfo } from "node:net";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { afterEach, expect, test } from "vitest";
import { virtualService } from "#api/istio/virtual-service.ts";
import { systemClock } from "#base/clock.ts";
import { patience } from "#base/testing/runs.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { readKubeconfig } from "#kube/kubeconfig.ts";
import { typeUrls } from "#proto/encoded.ts";
import { eventually } from "#xds/testing/envoy.ts";
import { SimulatedProxy, simulatedNode } from "./xds-client.ts";
import { Scanner } from "./xds-wire.ts";

let cleanup = new AsyncDisposableStack();
afterEach(async () => {
  await cleanup.disposeAsync();
  cleanup = new AsyncDisposableStack();
});

async function freePort(): Promise<number> {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  server.close();
  return port;
}

interface Info {
  readonly pid: number;
  readonly ads: string;
  readonly kubeconfig: string;
}

/** `weft bench serve` in a process of its own, ended with SIGTERM. */
async function serve(...args: readonly string[]): Promise<{ readonly info: Info; readonly stop: () => Promise<void> }> {
  const weft = join(import.meta.dirname, "..", "src", "cli", "weft.ts");
  const ads = `127.0.0.1:${await freePort()}`;
  const child = spawn(process.execPath, [weft, "bench", "serve", "--ads", ads, ...args], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const stop = async (): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    child.kill("SIGTERM");
    await once(child, "exit");
  };
  cleanup.defer(stop);
  for await (const line of createInterface(child.stdout)) return { info: JSON.parse(line) as Info, stop };
  throw new Error("weft bench serve ended without a word");
}

test(
  "a served mesh has what was asked for, follows changes, and leaves nothing",
  { timeout: patience(120_000) },
  async () => {
    const { info, stop } = await serve("--services", "40", "--namespaces", "4", "--sidecars", "1");
    expect(existsSync(info.kubeconfig)).toBe(true);
    const ends: string[] = [];
    const proxyOf = (index: number): SimulatedProxy => {
      const proxy = new SimulatedProxy({
        address: info.ads,
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
      const context = await readKubeconfig(info.kubeconfig);
      using connection = new Connection(context.server, { clock: systemClock });
      await new Client(connection).of(virtualService).create({
        metadata: { name: `svc-${index}`, namespace: `ns-${index}` },
        spec: {
          hosts: [`svc-${index}`],
          http: [{ timeout: "3s", route: [{ destination: { host: `svc-${index}` } }] }],
        },
      });
      await eventually("the change came", () => {
        const now = proxy.held.get(typeUrls.virtualHost)?.get(host);
        return (now !== undefined && now !== version) || undefined;
      });
      proxy.close();
    }
    expect(ends).toEqual([]);
    await stop();
    expect(existsSync(dirname(info.kubeconfig))).toBe(false);
    expect(() => process.kill(info.pid, 0)).toThrow("ESRCH");
  },
);

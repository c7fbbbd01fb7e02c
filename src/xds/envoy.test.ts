import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { ListenAddress } from "./listen.ts";
import { createXdsServer, type XdsServer } from "./server.ts";
import { TestEnvoy, eventually, freePort } from "./testing/envoy.ts";
import { cluster, endpoints, listener, route } from "./testing/resources.ts";
import { TableSource } from "./testing/table-source.ts";

const scopes = {
  [typeUrls.cluster]: ["clusters"],
  [typeUrls.endpoints]: ["endpoints"],
  [typeUrls.listener]: ["listeners"],
  [typeUrls.route]: ["routes"],
};

/** An HTTP server that answers with its name. */
async function backend(name: string): Promise<{ server: Server; port: number }> {
  const server = createServer((_request, response) => response.end(name));
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  return { server, port: (server.address() as AddressInfo).port };
}

describe.each([
  ["delta", "1.40.0"],
  ["sotw", "1.40.0"],
  ["delta", "1.37.0"],
  ["sotw", "1.37.0"],
] as const)("a real Envoy over %s ADS, %s", (variant, version) => {
  let cleanups: (() => unknown)[] = [];
  let source: TableSource;
  let server: XdsServer;
  let port: number;

  const serve = (listen: ListenAddress = { host: "127.0.0.1", port: 0 }): Promise<XdsServer> =>
    createXdsServer({
      source,
      engine: source.engine,
      clock: systemClock,
      logger: silentLogger,
      listen: [listen],
      drainMs: 0,
    });

  const start = async (): Promise<TestEnvoy> => {
    const [ads] = server.addresses;
    const envoy = await TestEnvoy.start({ version, variant, id: "sidecar~test", ads: ads as never });
    cleanups.push(() => envoy[Symbol.asyncDispose]());
    return envoy;
  };

  const startBackend = async (name: string): Promise<number> => {
    const started = await backend(name);
    cleanups.push(() => started.server.close());
    return started.port;
  };

  const get = async (): Promise<string> => {
    const response = await fetch(`http://127.0.0.1:${port}/`);
    return `${response.status} ${await response.text()}`;
  };

  const synced = (): Promise<boolean> =>
    eventually("everything is in sync", () => {
      const types = server.proxies()[0]?.types ?? {};
      return [typeUrls.cluster, typeUrls.listener].every((type) => types[type]?.state === "SYNCED") || undefined;
    });

  beforeEach(async () => {
    cleanups = [];
    source = new TableSource();
    source.setScopes("all", scopes);
    port = await freePort();
    server = await serve();
    cleanups.push(() => server[Symbol.asyncDispose]());
  });

  afterEach(async () => {
    for (const cleanup of cleanups.toReversed()) await cleanup();
  });

  test("serves traffic by what it is sent", async () => {
    const a = await startBackend("a");
    source.change(() => {
      source.set("clusters", cluster("one"));
      source.set("endpoints", endpoints("one", [a]));
      source.set("listeners", listener("in", port, "routes-in"));
      source.set("routes", route("routes-in", "one"));
    });
    const envoy = await start();
    expect(await eventually("a request is served", get)).toBe("200 a");
    await synced();
    expect(await envoy.stat("cluster_manager.warming_clusters")).toBe(0);
  });
});

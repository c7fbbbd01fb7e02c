import { createServer, request } from "node:http";
import type { AddressInfo } from "node:net";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { freePort } from "#base/free-port.ts";
import { typeUrls } from "#proto/encoded.ts";
import { virtualHostUse } from "./host-scopes.ts";
import type { ListenAddress } from "#grpc/listen.ts";
import { createXdsServer, type XdsServer } from "./server.ts";
import { TestEnvoy, eventually } from "./testing/envoy.ts";
import { cluster, endpoints, hostlessRoute, listener, virtualHost } from "./testing/resources.ts";
import { TableSource } from "./testing/table-source.ts";

test.each([
  ["1.40.0", "delta", "asked"],
  ["1.39.3", "delta", "apart"],
  ["1.37.0", "delta", "apart"],
  ["1.36.4", "delta", "inside"],
  ["2.0.0", "delta", "asked"],
  ["1.40.0", "sotw", "inside"],
  ["", "delta", "inside"],
] as const)("Envoy %s over %s has virtual hosts %s", (version, variant, use) => {
  const node = { id: "", cluster: "", metadata: {}, version, locality: { region: "", zone: "", subzone: "" } };
  expect(virtualHostUse(node, variant)).toBe(use);
});

describe.each(["1.40.0", "1.37.0"])("virtual hosts that come by themselves to Envoy %s", (version) => {
  let cleanup: AsyncDisposableStack;
  let source: TableSource;
  let server: XdsServer;
  let envoy: TestEnvoy;
  let port: number;

  const serve = (at: ListenAddress): Promise<XdsServer> =>
    createXdsServer({
      source,
      engine: source.engine,
      clock: systemClock,
      logger: silentLogger,
      listen: [at],
      drainMs: 0,
    });

  /** An HTTP server that answers with its name, and a cluster of that name. */
  const backend = async (name: string): Promise<void> => {
    const started = createServer((_request, response) => response.end(name));
    await new Promise<void>((resolve) => {
      started.listen(0, "127.0.0.1", resolve);
    });
    cleanup.defer(() => {
      started.close();
      started.closeAllConnections();
    });
    source.set("clusters", cluster(name));
    source.set("endpoints", endpoints(name, [(started.address() as AddressInfo).port]));
  };

  /** Status and body, or `refused`. */
  const get = (host: string, at = port): Promise<string> =>
    new Promise((resolve) => {
      request({ host: "127.0.0.1", port: at, headers: { host } }, (response) => {
        void text(response).then((body) => resolve(`${response.statusCode} ${body}`.trim()));
      })
        .on("error", () => resolve("refused"))
        .end();
    });

  const answers = (expected: string, host: string, at = port): Promise<unknown> =>
    eventually(`${host} answers ${expected}`, async () => (await get(host, at)) === expected || undefined);

  beforeEach(async () => {
    cleanup = new AsyncDisposableStack();
    source = new TableSource();
    source.setScopes("all", {
      [typeUrls.cluster]: ["clusters"],
      [typeUrls.endpoints]: ["endpoints"],
      [typeUrls.listener]: ["listeners"],
      [typeUrls.route]: ["routes"],
      [typeUrls.virtualHost]: ["hosts"],
    });
    port = await freePort();
    await backend("a");
    await backend("b");
    source.set("listeners", listener("in", port, "80"));
    source.set("routes", hostlessRoute("80"));
    source.set("hosts 80", virtualHost("80", "all", ["*"], "a"));
    server = await serve({ host: "127.0.0.1", port: await freePort() });
    cleanup.defer(() => server[Symbol.asyncDispose]());
    const [ads] = server.addresses;
    if (!ads) throw new Error("the server listens nowhere");
    envoy = cleanup.use(await TestEnvoy.start({ version, variant: "delta", id: "sidecar~test", ads }));
    await answers("200 a", "any");
  });

  afterEach(() => cleanup.disposeAsync());

  test("are added, changed and taken away one by one", async () => {
    source.set("hosts 80", virtualHost("80", "x", ["x"], "b"));
    await answers("200 b", "x");
    expect(await get("other")).toBe("200 a");
    const before = server.figures().bytesSent;
    source.set("hosts 80", virtualHost("80", "x", ["x", "y"], "b"));
    await answers("200 b", "y");
    expect(server.figures().bytesSent - before).toBeLessThan(400);
    source.change(() => {
      // A domain that goes from one host to another within one change.
      source.set("hosts 80", virtualHost("80", "x", ["x"], "b"));
      source.set("hosts 80", virtualHost("80", "z", ["y"], "b"));
    });
    await answers("200 b", "y");
    source.delete("hosts 80", "80/x");
    await answers("200 a", "x");
    expect(await get("y")).toBe("200 b");
    expect(server.proxies()[0]?.types[typeUrls.virtualHost]?.state).toBe("SYNCED");
  });

  test("belong to their route configuration, which may go and come back as it was", async () => {
    const other = await freePort();
    const put = (): void =>
      source.change(() => {
        source.set("listeners", listener("second", other, "90"));
        source.set("routes", hostlessRoute("90"));
        source.set("hosts 90", virtualHost("90", "all", ["*"], "b"));
      });
    for (let round = 0; round < 3; round += 1) {
      put();
      await answers("200 b", "any", other);
      source.change(() => {
        source.delete("listeners", "second");
        source.delete("routes", "90");
        source.delete("hosts 90", "90/all");
      });
      await answers("refused", "any", other);
    }
    // The listener alone goes and comes back: what it waits for is the same as before.
    put();
    await answers("200 b", "any", other);
    source.delete("listeners", "second");
    await answers("refused", "any", other);
    source.set("listeners", listener("second", other, "90"));
    await answers("200 b", "any", other);
    expect(await get("any")).toBe("200 a");
  });

  test("follow a changed listener and a changed configuration, so that nothing stays warming", async () => {
    source.set("routes", hostlessRoute("80", 7));
    source.set("listeners", listener("in", port, "80", "other"));
    await eventually(
      "the new listener is active",
      async () => (await envoy.admin("/config_dump?resource=dynamic_listeners")).includes("other") || undefined,
    );
    await eventually(
      "nothing is warming",
      async () => (await envoy.stat("listener_manager.total_listeners_warming")) === 0 || undefined,
    );
    expect(await get("any")).toBe("200 a");
  });

  test("are kept over a lost control plane, and learned of when it is back", async () => {
    const [at] = server.addresses;
    if (!at) throw new Error("the server listens nowhere");
    await server[Symbol.asyncDispose]();
    expect(await get("any")).toBe("200 a");
    source.change(() => {
      source.set("hosts 80", virtualHost("80", "all", ["*"], "b"));
      source.set("hosts 80", virtualHost("80", "x", ["x"], "a"));
    });
    server = await serve(at);
    await answers("200 b", "any");
    expect(await get("x")).toBe("200 a");
    source.delete("hosts 80", "80/x");
    await answers("200 b", "x");
  });

  test("that Envoy does not take leave the others as they are, and are named", async () => {
    source.change(() => {
      source.set("hosts 80", virtualHost("80", "bad", [], "b"));
      source.set("hosts 80", virtualHost("80", "x", ["x"], "b"));
    });
    await answers("200 b", "x");
    const status = server.proxies()[0]?.types[typeUrls.virtualHost];
    expect(status?.state).toBe("NACKED");
    expect(status?.refused?.resources).toEqual(["80/bad"]);
    source.set("hosts 80", virtualHost("80", "bad", ["better"], "b"));
    await answers("200 b", "better");
    expect(server.proxies()[0]?.types[typeUrls.virtualHost]?.state).toBe("SYNCED");
  });
});

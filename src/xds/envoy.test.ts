import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { silentLogger } from "#base/logger.ts";
import { freePort } from "#base/free-port.ts";
import { typeUrls } from "#proto/encoded.ts";
import type { ListenAddress } from "#grpc/listen.ts";
import { createXdsServer, type XdsServer } from "./server.ts";
import { TestEnvoy, eventually } from "./testing/envoy.ts";
import { badCluster, cluster, endpoints, listener, route, undecodableCluster } from "./testing/resources.ts";
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
  let folder: string;

  // One variant over TCP, one over a Unix socket: Envoys are served by both.
  const anywhere = (): ListenAddress =>
    variant === "delta" ? { host: "127.0.0.1", port: 0 } : { socketPath: join(folder, "ads.sock") };

  const serve = (listen = anywhere()): Promise<XdsServer> =>
    createXdsServer({
      source,
      engine: source.engine,
      clock: systemClock,
      logger: silentLogger,
      listen: [listen],
      drainMs: 0,
    });

  const start = async (): Promise<TestEnvoy> => {
    const [ads = anywhere()] = server.addresses;
    const envoy = await TestEnvoy.start({ version, variant, id: "sidecar~test", ads });
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
    folder = mkdtempSync(join(tmpdir(), "weft-xds-"));
    cleanups = [() => rmSync(folder, { recursive: true, force: true })];
    source = new TableSource();
    source.setScopes("all", scopes);
    port = await freePort();
    server = await serve();
    cleanups.push(() => server[Symbol.asyncDispose]());
  });

  afterEach(async () => {
    const findings = server.findings();
    for (const cleanup of cleanups.toReversed()) await cleanup();
    // A real Envoy does nothing that it should not.
    if (findings.length > 0) throw new Error(`findings about a real Envoy: ${JSON.stringify(findings)}`);
  });

  /** One cluster with one backend behind one listener, and an Envoy that serves it. */
  const walking = async (): Promise<{ envoy: TestEnvoy; backendPort: number }> => {
    const backendPort = await startBackend("a");
    source.change(() => {
      source.set("clusters", cluster("one"));
      source.set("endpoints", endpoints("one", [backendPort]));
      source.set("listeners", listener("in", port, "routes-in"));
      source.set("routes", route("routes-in", "one"));
    });
    const envoy = await start();
    expect(await eventually("a request is served", get)).toBe("200 a");
    await synced();
    return { envoy, backendPort };
  };

  test("serves traffic by what it is sent, and leaves nothing warming", async () => {
    const { envoy } = await walking();
    expect(await envoy.stat("cluster_manager.warming_clusters")).toBe(0);
    expect(await envoy.stat("listener_manager.total_listeners_warming")).toBe(0);
    const info = await envoy.adminJson<{ state: string }>("/server_info");
    expect(info.state).toBe("LIVE");
    expect(server.proxies()).toMatchObject([
      { node: { id: "sidecar~test", cluster: "test", metadata: { NAMESPACE: "shop" }, version } },
    ]);
  });

  test("a changed cluster is followed by its endpoints, though they are the same", async () => {
    const { envoy } = await walking();
    source.set("clusters", cluster("one", 2500));
    await eventually("the new cluster is active", async () => {
      const dump = await envoy.admin("/config_dump?resource=dynamic_active_clusters");
      return dump.includes('"2.500s"') || undefined;
    });
    expect(await envoy.stat("cluster_manager.warming_clusters")).toBe(0);
    expect(await envoy.admin("/config_dump?resource=dynamic_warming_clusters")).not.toContain("one");
    expect(await envoy.admin("/clusters")).toMatch(/one::127\.0\.0\.1:\d+::health_flags::healthy/);
    expect(await get()).toBe("200 a");
  });

  test("a second cluster over the same endpoints gets them, though the name was asked for already", async () => {
    const { envoy } = await walking();
    source.set("clusters", cluster("two", 1000, "one"));
    await eventually(
      "the second cluster is active",
      async () => (await envoy.admin("/config_dump?resource=dynamic_active_clusters")).includes('"two"') || undefined,
    );
    expect(await envoy.stat("cluster_manager.warming_clusters")).toBe(0);
  });

  test("a replaced listener is followed by its routes, though they are the same", async () => {
    const { envoy } = await walking();
    // Envoy shares routes between listeners that fetch them from the same place: this one fetches from another.
    source.set("listeners", listener("in", port, "routes-in", "replaced"));
    await eventually("the new listener is active", async () => {
      const dump = await envoy.admin("/config_dump?resource=dynamic_listeners");
      return (dump.includes('"replaced"') && !dump.includes("warming_state")) || undefined;
    });
    expect(await get()).toBe("200 a");
    expect(await envoy.stat("listener_manager.total_listeners_warming")).toBe(0);
  });

  test("traffic moves to a new cluster without a failed request, and the old one goes", async () => {
    const { envoy } = await walking();
    const b = await startBackend("b");
    const answers = new Set<string>();
    const load = new AbortController();
    const loading = (async () => {
      while (!load.signal.aborted) answers.add(await get());
    })();
    source.change(() => {
      source.set("clusters", cluster("two"));
      source.set("endpoints", endpoints("two", [b]));
      source.set("routes", route("routes-in", "two"));
      source.delete("clusters", "one");
      source.delete("endpoints", "one");
    });
    await eventually("the old cluster is gone", async () =>
      /^one::/m.test(await envoy.admin("/clusters")) ? undefined : true,
    );
    load.abort();
    await loading;
    expect(await get()).toBe("200 b");
    expect([...answers].filter((answer) => answer !== "200 a" && answer !== "200 b")).toEqual([]);
    await synced();
  });

  test("endpoints follow a change", async () => {
    await walking();
    source.set("endpoints", endpoints("one", [await startBackend("b")]));
    const answer = await eventually("another backend answers", async () => {
      const text = await get();
      return text === "200 a" ? undefined : text;
    });
    expect(answer).toBe("200 b");
  });

  test("a refused cluster keeps the last good one, is reported, and hinders nothing else", async () => {
    const { envoy } = await walking();
    source.change(() => {
      source.set("clusters", badCluster("one"));
      source.set("clusters", cluster("good"));
      source.set("endpoints", endpoints("good", [1]));
    });
    const refused = await eventually("the refusal is known", () => {
      const state = server.proxies()[0]?.types[typeUrls.cluster];
      return state?.state === "NACKED" && state.refused?.resources.length === 1 ? state.refused : undefined;
    });
    expect(refused.resources).toEqual(["one"]);
    expect(refused.message).not.toBe("");
    await eventually(
      "the innocent cluster is there",
      async () => (await envoy.admin("/clusters")).includes("good::") || undefined,
    );
    expect(await get()).toBe("200 a");
    source.set("clusters", cluster("one", 3000));
    await synced();
    expect(await get()).toBe("200 a");
  });

  test("after a restart of the server, Envoy goes on and gets only what changed", async () => {
    const { envoy, backendPort } = await walking();
    const [address] = server.addresses;
    await server[Symbol.asyncDispose]();
    expect(await get()).toBe("200 a");
    const b = await startBackend("b");
    source.set("endpoints", endpoints("one", [b, backendPort]));
    server = await serve(address);
    const replacement = server;
    cleanups.push(() => replacement[Symbol.asyncDispose]());
    await eventually("the new backend answers", async () => (await get()) === "200 b" || undefined);
    await synced();
    expect(await envoy.stat("cluster_manager.warming_clusters")).toBe(0);
    expect(await envoy.stat("listener_manager.listener_modified")).toBe(0);
    expect(await envoy.stat("cluster_manager.cluster_modified")).toBe(0);
    if (variant === "delta") expect(server.figures().messagesSent).toBe(1);
  });

  test("a cluster that changed while the server was away does not stay warming", async () => {
    const { envoy } = await walking();
    const [address] = server.addresses;
    await server[Symbol.asyncDispose]();
    source.set("clusters", cluster("one", 2500));
    server = await serve(address);
    const replacement = server;
    cleanups.push(() => replacement[Symbol.asyncDispose]());
    await eventually(
      "the new cluster is active",
      async () =>
        (await envoy.admin("/config_dump?resource=dynamic_active_clusters")).includes('"2.500s"') || undefined,
    );
    expect(await get()).toBe("200 a");
  });

  test("endpoints that do not exist keep no cluster waiting", async () => {
    const { envoy } = await walking();
    source.set("clusters", cluster("lonely"));
    await eventually(
      "the cluster is active without endpoints",
      async () =>
        (await envoy.admin("/config_dump?resource=dynamic_active_clusters")).includes('"lonely"') || undefined,
    );
    expect(await envoy.stat("cluster_manager.warming_clusters")).toBe(0);
  });

  test("a response that cannot be decoded costs only the resource at fault", async () => {
    const { envoy } = await walking();
    source.change(() => {
      source.set("clusters", undecodableCluster("broken"));
      for (const name of ["a", "b", "c", "d"]) source.set("clusters", cluster(name));
      for (const name of ["a", "b", "c", "d"]) source.set("endpoints", endpoints(name, [1]));
    });
    await eventually("the guilty one is found", () => {
      const state = server.proxies()[0]?.types[typeUrls.cluster];
      return state?.refused?.resources.join() === "broken" || undefined;
    });
    const clusters = await envoy.admin("/clusters");
    for (const name of ["a", "b", "c", "d"]) expect(clusters).toMatch(new RegExp(`^${name}::added_via_api::true`, "m"));
    expect(await get()).toBe("200 a");
  });
});

/**
 * What EnvoyFilters change in the configuration of proxies. Names of groups are headings and values of Istio's reference
 * "Envoy Filter".
 */
import { once } from "node:events";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually } from "../support/eventually.ts";
import type { Call, Result } from "./caller.ts";
import { addition, envoyFilter, inRouter, lua, rateLimit, staticAnswer, textAnswer } from "./envoy-filters.ts";
import { inParallel } from "./many.ts";
import { World } from "./world.ts";

const outbound = "SIDECAR_OUTBOUND";
const inbound = "SIDECAR_INBOUND";

/** The virtual host of a service on its port. */
function vhost(service: string, more = ""): string {
  return `{ context: ${outbound}, routeConfiguration: { vhost: { name: "${service}.shop.svc.cluster.local:9080"${more} } } }`;
}

/** A patch with the configuration of the filter `by-name`, which adds a header. */
function byName(value: string): string {
  return `
applyTo: EXTENSION_CONFIG
patch:
  operation: ADD
  value:
    name: by-name
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua
      default_source_code: { inline_string: "function envoy_on_request(h) h:headers():add('x-extension', '${value}') end" }`;
}

/** A patch that puts the filter `by-name` in, which asks for its configuration by that name. */
const asking = `
applyTo: HTTP_FILTER
match: ${inRouter("envoy.filters.http.router", outbound)}
patch:
  operation: INSERT_BEFORE
  value:
    name: by-name
    config_discovery:
      config_source: { ads: {}, initial_fetch_timeout: 0s, resource_api_version: V3 }
      type_urls: [type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua]`;

const filters: readonly string[] = [
  envoyFilter("lua-inbound", [lua("inbound", { context: "SIDECAR_INBOUND" })], { select: "server" }),
  envoyFilter("lua-edge", [lua("edge", { context: "GATEWAY" })], { namespace: "edge" }),
  envoyFilter("lua-root", [lua("root", { context: outbound })], { namespace: "istio-system", priority: -5 }),
  envoyFilter(
    "remove",
    [`{ applyTo: HTTP_FILTER, match: ${inRouter("lua-root", outbound)}, patch: { operation: REMOVE } }`],
    {
      select: "other",
    },
  ),
  // Each goes first, so the one that is applied last is the first: the highest priority, then the youngest.
  envoyFilter("order-c", [lua("c", { context: outbound, operation: "INSERT_FIRST", header: "x-order" })], {
    priority: 7,
  }),
  envoyFilter("order-a", [lua("a", { context: outbound, operation: "INSERT_FIRST", header: "x-order" })]),
  envoyFilter("order-b", [lua("b", { context: outbound, operation: "INSERT_FIRST", header: "x-order" })]),
  envoyFilter("versions", [
    lua("old", { context: outbound, header: "x-version", proxy: "{ proxyVersion: '^1\\.30' }" }),
    lua("new", { context: outbound, header: "x-version", proxy: "{ proxyVersion: '^1\\.31' }" }),
    lua("east", { context: outbound, header: "x-cluster", proxy: "{ metadata: { CLUSTER_ID: east } }" }),
    lua("west", { context: outbound, header: "x-cluster", proxy: "{ metadata: { CLUSTER_ID: west } }" }),
  ]),
  envoyFilter("limit", [rateLimit(9085, 2)], { select: "caller" }),
  envoyFilter("more", [
    `
applyTo: HTTP_FILTER
match: ${inRouter("envoy.filters.http.local_ratelimit", outbound)}
patch:
  operation: MERGE
  value:
    name: envoy.filters.http.local_ratelimit
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit
      token_bucket: { max_tokens: 3, tokens_per_fill: 3, fill_interval: 600s }`,
  ]),
  envoyFilter("clusters", [
    `
applyTo: CLUSTER
match: { context: ${outbound}, cluster: { service: absent.shop.svc.cluster.local } }
patch: { operation: MERGE, value: { connect_timeout: 0.2s } }`,
    `
applyTo: CLUSTER
match: { context: ${outbound}, cluster: { name: outbound|9080||narrow.shop.svc.cluster.local } }
patch:
  operation: MERGE_AND_REPLACE_LIST
  value: { circuit_breakers: { thresholds: [{ max_connections: 1, max_pending_requests: 1 }] } }`,
  ]),
  envoyFilter("routes", [
    `
applyTo: HTTP_ROUTE
match: ${vhost("routed", ", route: { action: ROUTE }")}
patch: { operation: MERGE, value: { ${addition("x-route", "merged")} } }`,
    `
applyTo: HTTP_ROUTE
match: ${vhost("routed")}
patch: { operation: INSERT_FIRST, value: { match: { path: /first }, ${textAnswer("first")} } }`,
    `
applyTo: VIRTUAL_HOST
match: { context: ${outbound}, routeConfiguration: { name: "9080" } }
patch:
  operation: ADD
  value: { name: added, domains: [added.example.com], routes: [{ match: { prefix: / }, ${textAnswer("added")} }] }`,
    `
applyTo: VIRTUAL_HOST
match: ${vhost("removed")}
patch: { operation: REMOVE }`,
    `
applyTo: ROUTE_CONFIGURATION
match: { context: ${outbound}, routeConfiguration: { portNumber: 9080 } }
patch: { operation: MERGE, value: { ${addition("x-configuration", "9080")} } }`,
    `
applyTo: HTTP_ROUTE
match: { context: SIDECAR_INBOUND }
patch: { operation: MERGE, value: { ${addition("x-inbound-route", "merged")} } }`,
  ]),
  envoyFilter("listeners", [
    `
applyTo: LISTENER
match: { context: ${outbound} }
patch:
  operation: ADD
  value:
    name: added
    address: { socket_address: { address: 127.0.0.1, port_value: 19099 } }
    filter_chains: [{ filters: [${staticAnswer("listener")}] }]`,
    `
applyTo: FILTER_CHAIN
match: { context: ${outbound}, listener: { name: virtualOutbound } }
patch:
  operation: ADD
  value: { filter_chain_match: { destination_port: 9777 }, filters: [${staticAnswer("chain")}] }`,
    `
applyTo: LISTENER
match: { context: ${outbound}, listener: { name: virtualOutbound } }
patch: { operation: MERGE, value: { stat_prefix: renamed } }`,
    `
applyTo: FILTER_CHAIN
match: { context: SIDECAR_INBOUND, listener: { filterChain: { destinationPort: 8080 } } }
patch: { operation: MERGE, value: { metadata: { filter_metadata: { example: { merged: true } } } } }`,
    `
applyTo: NETWORK_FILTER
match:
  context: ${outbound}
  listener: { portNumber: 9090, filterChain: { filter: { name: envoy.filters.network.tcp_proxy } } }
patch:
  operation: MERGE
  value:
    name: envoy.filters.network.tcp_proxy
    typed_config:
      "@type": type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy
      idle_timeout: 0.3s`,
  ]),
  envoyFilter("asking", [asking]),
  envoyFilter("extension", [byName("by-name")]),
  envoyFilter(
    "chains",
    [
      lua("http", { context: inbound, header: "x-alpn", chain: 'applicationProtocols: "http/1.1,h2c",' }),
      lua("named", { context: inbound, header: "x-chain", chain: "name: 0.0.0.0_8080," }),
      lua("plain", { context: inbound, header: "x-transport", chain: "transportProtocol: raw_buffer," }),
      lua("tls", { context: inbound, header: "x-transport", chain: "transportProtocol: tls," }),
    ],
    { select: "server" },
  ),
  envoyFilter(
    "inspector",
    [
      `
applyTo: LISTENER_FILTER
match: { context: ${inbound}, listener: { listenerFilter: envoy.filters.listener.http_inspector } }
patch: { operation: REMOVE }`,
    ],
    { select: "blind" },
  ),
  envoyFilter("parts", [
    `
applyTo: CLUSTER
match: { context: ${outbound}, cluster: { service: parted.shop.svc.cluster.local, subset: v1 } }
patch: { operation: REMOVE }`,
    `
applyTo: CLUSTER
match: { context: ${outbound}, cluster: { portNumber: 9086 } }
patch: { operation: REMOVE }`,
    `
applyTo: HTTP_ROUTE
match: ${vhost("parted", ", route: { name: second }")}
patch: { operation: MERGE, value: { ${addition("x-route", "second")} } }`,
    `
applyTo: VIRTUAL_HOST
match: { context: ${outbound}, routeConfiguration: { vhost: { domainName: parted.shop.svc } } }
patch: { operation: MERGE, value: { ${addition("x-domain", "parted")} } }`,
  ]),
  envoyFilter("target", [lua("target", { context: "GATEWAY", header: "x-target" })], {
    namespace: "edge",
    gateways: ["edge-gateway"],
  }),
  envoyFilter("other-target", [lua("other", { context: "GATEWAY", header: "x-target" })], {
    namespace: "edge",
    gateways: ["other-gateway"],
  }),
  envoyFilter("odd", [
    `{ applyTo: CLUSTER, match: { context: ${outbound} }, patch: { operation: MERGE, value: { connect_timeout: soon } } }`,
    `{ applyTo: CLUSTER, match: { context: ${outbound} }, patch: { operation: MERGE, value: { no_such_field: 1 } } }`,
    `{ applyTo: NETWORK_FILTER, patch: { operation: INSERT_FIRST, value: { name: x, typed_config: { "@type": example.Nothing } } } }`,
    lua("odd", { context: outbound, header: "x-odd" }),
  ]),
];

let world: World;

beforeAll(async () => {
  world = await World.start("ef", {
    proxies: [
      { name: "caller", labels: { app: "caller" } },
      { name: "other", labels: { app: "other" } },
      { name: "stranger", namespace: "bank", labels: { app: "caller" } },
      { name: "server", labels: { app: "server" }, serves: true },
      { name: "blind", labels: { app: "blind" }, serves: true },
      {
        name: "edge",
        type: "router",
        namespace: "edge",
        labels: { istio: "ingress", "gateway.networking.k8s.io/gateway-name": "edge-gateway" },
      },
    ],
    services: [
      ...["page", "routed", "removed", "narrow"].map((name) => ({ name })),
      { name: "absent", pods: { absent: 1 } },
      { name: "limited", ports: [{ name: "http", port: 9085, to: "http" }] },
      { name: "tcp", ports: [{ name: "tcp", port: 9090, to: "tcp" }] },
      {
        name: "parted",
        pods: { v1: 1, v2: 1 },
        ports: [
          { name: "http", port: 9080, to: "http" },
          { name: "http-more", port: 9086, to: "http" },
        ],
      },
      {
        name: "server",
        servedBy: ["server"],
        ports: [
          { name: "http", port: 9080, to: "http" },
          { name: "any", port: 9081, to: "h2c" },
        ],
      },
      { name: "blind", servedBy: ["blind"], ports: [{ name: "any", port: 9081, to: "h2c" }] },
      { name: "edge", namespace: "edge", servedBy: ["edge"], ports: [{ name: "http", port: 80, to: "http" }] },
    ],
    istio: [
      `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { istio: ingress }
  servers: [{ port: { number: 8088, name: http, protocol: HTTP }, hosts: ["*.example.com"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: page }
spec:
  hosts: [page.example.com]
  gateways: [edge/edge]
  http: [{ route: [{ destination: { host: page } }] }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: parted }
spec: { host: parted, subsets: [{ name: v1, labels: { version: v1 } }, { name: v2, labels: { version: v2 } }] }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: parted }
spec:
  hosts: [parted]
  http:
    - { name: first, match: [{ uri: { prefix: /first } }], route: [{ destination: { host: parted, subset: v1 } }] }
    - { name: third, match: [{ uri: { prefix: /third } }], route: [{ destination: { host: parted, subset: v2 } }] }
    - { name: second, route: [{ destination: { host: parted, subset: v2 } }] }
`,
      ...filters,
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

function send(url: string, call?: Call, from = "caller"): Promise<Result> {
  return world.caller(from).send(`http://${url}`, call);
}

/** A header as a backend saw it. */
async function header(name: string, url = "page:9080/", from = "caller"): Promise<string | undefined> {
  const { seen, status, text } = await send(url, {}, from);
  if (!seen) throw new Error(`no backend answered: ${status} ${text}`);
  return seen.headers[name];
}

/** What a TCP server says first. */
async function greeting(host: string, port: number): Promise<string> {
  const socket = await world.caller("caller").connect(host, port);
  const [chunk] = (await once(socket, "data")) as [Buffer];
  socket.destroy();
  return String(chunk);
}

describe("HTTP_FILTER", () => {
  test("INSERT_BEFORE the router of what comes in", async () => {
    expect(await header("x-lua", "server:9080/")).toContain("inbound");
    expect(await header("x-lua", "page:9080/")).not.toContain("inbound");
  });

  test("INSERT_BEFORE the router of a gateway", async () => {
    const { seen } = await world.outside.send(`http://${world.addressOf("edge")}:8088/`, { host: "page.example.com" });
    expect(seen?.headers["x-lua"]).toBe("edge");
  });

  test("INSERT_BEFORE for one port, and MERGE of its configuration by another EnvoyFilter", async () => {
    const statuses = await inParallel(5, 1, async () => (await send("limited:9085/")).status);
    expect(statuses).toEqual([200, 200, 200, 429, 429]);
    expect((await send("page:9080/")).status).toBe(200);
  });

  test("REMOVE of a filter that an EnvoyFilter of a lower priority put in", async () => {
    expect(await header("x-lua", "page:9080/", "caller")).toBe("root");
    expect(await header("x-lua", "page:9080/", "other")).toBeUndefined();
  });
});

describe("EnvoyFilter", () => {
  test("those of the root namespace are for all namespaces, others for their own", async () => {
    expect(await header("x-lua", "page.shop:9080/", "stranger")).toBe("root");
    expect(await header("x-order", "page.shop:9080/", "stranger")).toBeUndefined();
  });

  test("priority, then age, says which comes first", async () => {
    expect(await header("x-order")).toBe("c, b, a");
  });

  test("one that is made and edited later reaches proxies that run", async () => {
    const late = (value: string): string =>
      envoyFilter("late", [lua(value, { context: outbound, header: "x-late" })], { select: "caller" });
    const seen = (value: string) => async (): Promise<true | undefined> =>
      (await header("x-late")) === value || undefined;
    expect(await header("x-late")).toBeUndefined();
    world.apply(late("made"));
    await eventually("the patch is applied", seen("made"));
    world.apply(late("edited"));
    await eventually("the edit is applied", seen("edited"));
    expect(await header("x-late", "page:9080/", "other")).toBeUndefined();
  });

  test("ProxyMatch: proxyVersion and metadata", async () => {
    expect(await header("x-version")).toBe("new");
    expect(await header("x-cluster")).toBe("east");
  });
});

describe("match of a listener", () => {
  /** The headers of a request to a port of a workload, as its backend saw them. */
  async function headersAt(workload: string, port: number, http2: boolean): Promise<Readonly<Record<string, string>>> {
    const { seen } = await world.outside.send(`http://${world.addressOf(workload)}:${port}/`, { http2 });
    return seen?.headers ?? {};
  }

  test("filterChain applicationProtocols must all be those of the chain", async () => {
    expect(await headersAt("server", 8081, true)).toMatchObject({ "x-alpn": "http" });
    expect(await headersAt("server", 8080, false)).not.toHaveProperty("x-alpn");
  });

  test("filterChain name", async () => {
    expect(await headersAt("server", 8080, false)).toMatchObject({ "x-chain": "named" });
    expect(await headersAt("server", 8081, true)).not.toHaveProperty("x-chain");
  });

  test("filterChain transportProtocol", async () => {
    expect(await headersAt("server", 8081, true)).toMatchObject({ "x-transport": "plain" });
  });

  test("listenerFilter: without the one that looks for HTTP, a port of unknown protocol carries bytes", async () => {
    expect(await headersAt("server", 8081, true)).toHaveProperty("x-request-id");
    const plain = await headersAt("blind", 8081, true);
    expect(plain).toHaveProperty(":path");
    expect(plain).not.toHaveProperty("x-request-id");
  });
});

describe("targetRefs", () => {
  test("a Gateway's name is the proxies' that were made for it", async () => {
    const { seen } = await world.outside.send(`http://${world.addressOf("edge")}:8088/`, { host: "page.example.com" });
    expect(seen?.headers["x-target"]).toBe("target");
  });
});

describe("CLUSTER", () => {
  test("match of the subset: REMOVE leaves the others", async () => {
    expect((await send("parted:9080/first")).status).toBe(503);
    expect((await send("parted:9080/")).seen?.pod).toBe("parted-v2-0");
  });

  test("match of the portNumber: REMOVE leaves the others", async () => {
    const elsewhere = { headers: { host: "parted" } };
    expect((await send("parted:9086/", elsewhere)).status).toBe(503);
    expect((await send("parted:9080/", elsewhere)).status).toBe(200);
  });

  test("MERGE of the connect timeout", async () => {
    const { status, ms } = await send("absent:9080/", { headers: { "x-envoy-max-retries": "0" } });
    expect(status).toBe(503);
    // Ten seconds without.
    expect(ms).toBeLessThan(5000);
  });

  test("MERGE_AND_REPLACE_LIST of circuit breakers", async () => {
    const { promise: after, resolve: release } = Promise.withResolvers<void>();
    using _waiting = world.backends.behave("narrow", () => ({ after }));
    let refusals = 0;
    const results = await inParallel(6, 6, async () => {
      const result = await send("narrow:9080/");
      if (result.status === 503) refusals += 1;
      if (refusals === 4) release();
      return result;
    });
    expect(results.filter(({ status }) => status === 200)).toHaveLength(2);
  });
});

describe("ROUTE_CONFIGURATION, VIRTUAL_HOST, HTTP_ROUTE", () => {
  test("MERGE into the routes of a virtual host", async () => {
    expect(await header("x-route", "routed:9080/")).toBe("merged");
    expect(await header("x-route", "page:9080/")).toBeUndefined();
  });

  test("MERGE into the route of a name", async () => {
    expect(await header("x-route", "parted:9080/")).toBe("second");
    expect(await header("x-route", "parted:9080/third")).toBeUndefined();
  });

  test("MERGE into the virtual host that has a domain", async () => {
    expect(await header("x-domain", "parted:9080/")).toBe("parted");
    expect(await header("x-domain", "page:9080/")).toBeUndefined();
  });

  test("INSERT_FIRST of a route", async () => {
    expect((await send("routed:9080/first")).text).toBe("first");
  });

  test("ADD of a virtual host", async () => {
    expect((await send("added.example.com:9080/")).text).toBe("added");
  });

  test("REMOVE of a virtual host: requests go where the caller wanted to go", async () => {
    // To the service's own address, which only proxies know.
    expect((await send("removed:9080/")).status).toBe(503);
    expect((await send("removed.shop.svc.cluster.local:9080/", { headers: { host: "routed:9080" } })).status).toBe(200);
  });

  test("MERGE into a route configuration", async () => {
    expect(await header("x-configuration", "page:9080/")).toBe("9080");
  });

  test("MERGE into the routes of what comes in, which stand in the listener", async () => {
    expect(await header("x-inbound-route", "server:9080/")).toBe("merged");
    expect(await header("x-inbound-route", "page:9080/")).toBeUndefined();
  });
});

describe("LISTENER, FILTER_CHAIN, NETWORK_FILTER", () => {
  test("ADD of a listener", async () => {
    expect(await greeting("127.0.0.1", 19_099)).toBe("listener");
  });

  test("ADD of a filter chain", async () => {
    expect(await greeting("10.10.14.1", 9777)).toBe("chain");
  });

  test("MERGE into a listener and into a chain", async () => {
    const listeners = await world.envoy("server").admin("GET", "/config_dump?resource=dynamic_listeners");
    expect(listeners).toContain('"stat_prefix": "renamed"');
    expect(listeners.match(/"example": \{/g)?.length).toBeGreaterThan(0);
  });

  test("MERGE of a TCP proxy's idle timeout", async () => {
    const socket = await world.caller("caller").connect("tcp", 9090);
    const ended = once(socket, "close");
    socket.resume();
    const started = performance.now();
    await ended;
    // An hour without.
    expect(performance.now() - started).toBeLessThan(20_000);
  });
});

describe("EXTENSION_CONFIG", () => {
  test("ADD gives a filter that asks for it by name its configuration", async () => {
    expect(await header("x-extension")).toBe("by-name");
  });

  const modified = () => world.envoy("caller").sumOf(/^listener_manager\.listener_(?:modified|in_place_updated)$/);

  test("an edit changes the filter and no listener", async () => {
    const before = await modified();
    world.apply(envoyFilter("extension", [byName("edited")]));
    await eventually("the edit is applied", async () => (await header("x-extension")) === "edited" || undefined);
    expect(await modified()).toBe(before);
  });

  test("what Envoy refuses is put down to the EnvoyFilter, and the last one goes on", async () => {
    const refusal = () =>
      world.refused.find(
        ({ resources, blamed }) => resources.includes("by-name") && blamed.includes("EnvoyFilter extension"),
      );
    world.apply(envoyFilter("extension", [byName("' this is no Lua")]));
    await eventually("the proxy refuses it", refusal);
    expect(await header("x-extension")).toBe("edited");
    world.apply(envoyFilter("extension", [byName("mended")]));
    await eventually("the mended one is applied", async () => (await header("x-extension")) === "mended" || undefined);
    await eventually("nothing is refused", () => !refusal() || undefined);
  });

  test("one that is gone is kept by proxies that have it", async () => {
    world.apply(envoyFilter("extension", []));
    const more = lua("after", { context: outbound, header: "x-after" });
    world.apply(envoyFilter("after", [more]));
    await eventually("a later change is applied", async () => (await header("x-after")) === "after" || undefined);
    expect(await header("x-extension")).toBe("mended");
  });
});

describe("patches that cannot be", () => {
  test("are findings; the others of the object are applied, and traffic goes on", async () => {
    expect(world.findings("EnvoyFilter", "odd")).toEqual([
      "InvalidPatch spec.configPatches[0].patch.value.connect_timeout",
      "UnknownField spec.configPatches[1].patch.value.no_such_field",
      "InvalidPatch spec.configPatches[2].patch.value.typed_config",
    ]);
    expect(await header("x-odd")).toBe("odd");
  });

  test("what only Envoy can judge is put down to the EnvoyFilter, and what was goes on", async () => {
    world.apply(envoyFilter("bad-lua", [lua("(", { context: outbound, code: "this is no Lua" })], { select: "other" }));
    const refused = await eventually("the proxy refuses it", () =>
      world.refused.length > 0 ? world.refused : undefined,
    );
    for (const { message, blamed } of refused) {
      expect(message).toContain("script load error");
      expect(blamed).toContain("EnvoyFilter bad-lua");
    }
    expect((await send("page:9080/", {}, "other")).status).toBe(200);
  });
});

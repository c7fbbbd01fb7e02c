import fc from "fast-check";
import type { ObjectInput } from "#model/testing/objects.ts";

const types = "type.googleapis.com/envoy.extensions";
const manager = "envoy.filters.network.http_connection_manager";
const any = (type: string, config: object = {}): object => ({ "@type": `${types}.${type}`, ...config });
const buffer = any("filters.http.buffer.v3.Buffer", { max_request_bytes: 9 });
const answer = { name: "x", typed_config: any("filters.network.direct_response.v3.Config") };
const direct = { match: { prefix: "/x" }, direct_response: { status: 204 } };

/** Values by what they are for: good ones, ones that break a rule, ones of no type or of another, and empty ones. */
const values: Readonly<Record<string, readonly object[]>> = {
  LISTENER: [
    { per_connection_buffer_limit_bytes: 8 },
    {
      name: "extra",
      address: { socket_address: { address: "127.0.0.1", port_value: 1900 } },
      filter_chains: [{ filters: [answer] }],
    },
    { name: "virtualInbound", stat_prefix: "x" },
  ],
  LISTENER_FILTER: [
    { name: "proxy", typed_config: any("filters.listener.proxy_protocol.v3.ProxyProtocol") },
    {
      name: "envoy.filters.listener.http_inspector",
      typed_config: any("filters.listener.tls_inspector.v3.TlsInspector"),
    },
  ],
  FILTER_CHAIN: [
    { name: "x", filter_chain_match: { destination_port: 4321 }, filters: [answer] },
    { transport_socket_connect_timeout: "3s" },
    {
      transport_socket: {
        name: "envoy.transport_sockets.raw_buffer",
        typed_config: any("transport_sockets.raw_buffer.v3.RawBuffer"),
      },
    },
  ],
  NETWORK_FILTER: [
    { name: "rbac", typed_config: any("filters.network.rbac.v3.RBAC", { stat_prefix: "x" }) },
    {
      name: manager,
      typed_config: any("filters.network.http_connection_manager.v3.HttpConnectionManager", { server_name: "x" }),
    },
    {
      name: "envoy.filters.network.tcp_proxy",
      typed_config: any("filters.network.tcp_proxy.v3.TcpProxy", { idle_timeout: "9s" }),
    },
    { typed_config: any("filters.network.tcp_proxy.v3.TcpProxy", { cluster: "BlackHoleCluster" }) },
  ],
  HTTP_FILTER: [
    { name: "buffer", typed_config: buffer },
    {
      name: "unnamed",
      typed_config: {
        "@type": "type.googleapis.com/xds.type.v3.TypedStruct",
        type_url: `${types}.filters.http.cors.v3.Cors`,
      },
    },
    { typed_config: any("filters.http.router.v3.Router", { suppress_envoy_headers: true }) },
  ],
  ROUTE_CONFIGURATION: [
    { response_headers_to_remove: ["x-a"] },
    { name: "other", virtual_hosts: [{ name: "z", domains: ["z"] }] },
  ],
  VIRTUAL_HOST: [
    { name: "w", domains: ["w.example.com"], routes: [direct] },
    { domains: ["more.example.com"] },
    { retry_policy: { retry_on: "5xx" } },
  ],
  HTTP_ROUTE: [direct, { route: { timeout: "3s" } }, { redirect: { path_redirect: "/y" } }],
  CLUSTER: [
    { connect_timeout: "3s" },
    { name: "extra", type: "STATIC" },
    { name: "outbound|80||a.shop.svc.cluster.local", type: "STATIC", connect_timeout: "1s" },
    { circuit_breakers: { thresholds: [{ max_connections: 3 }] } },
    {
      transport_socket: {
        name: "envoy.transport_sockets.raw_buffer",
        typed_config: any("transport_sockets.raw_buffer.v3.RawBuffer"),
      },
    },
  ],
  EXTENSION_CONFIG: [{ name: "buffer", typed_config: buffer }],
  BOOTSTRAP: [{}],
};

const everywhere: readonly object[] = [
  {},
  { name: "" },
  { no_such_field: 1 },
  { name: [] },
  { typed_config: { "@type": "example.com/none" } },
  { name: "constructor", typed_config: {} },
  JSON.parse('{ "__proto__": { "name": "x" } }') as object,
];

/** What patches put in: things of every kind, good ones and bad ones. */
export const patchValues: readonly object[] = [...Object.values(values).flat(), ...everywhere];

const contexts = fc.constantFrom(undefined, "ANY", "SIDECAR_INBOUND", "SIDECAR_OUTBOUND", "GATEWAY", "WAYPOINT");
const ports = fc.constantFrom(undefined, 0, 80, 8080, 9999);
const names = fc.constantFrom(undefined, "", "virtualInbound", "virtualOutbound", "80", "http.80", "constructor");

const listener = fc.record({
  name: names,
  portNumber: ports,
  listenerFilter: fc.constantFrom(undefined, "envoy.filters.listener.http_inspector", ""),
  filterChain: fc.option(
    fc.record({
      name: names,
      sni: fc.constantFrom(undefined, "a.example.com"),
      transportProtocol: fc.constantFrom(undefined, "raw_buffer", "tls"),
      applicationProtocols: fc.constantFrom(undefined, "http/1.1", "http/1.1,h2c", ","),
      destinationPort: ports,
      filter: fc.constantFrom(
        undefined,
        { name: manager },
        { name: manager, subFilter: { name: "envoy.filters.http.router" } },
        { name: "envoy.filters.network.tcp_proxy" },
      ),
    }),
    { nil: undefined },
  ),
});

const routeConfiguration = fc.record({
  name: names,
  portNumber: ports,
  portName: fc.constantFrom(undefined, "http"),
  gateway: fc.constantFrom(undefined, "shop/a"),
  vhost: fc.constantFrom(
    undefined,
    { name: "a.shop.svc.cluster.local:80" },
    { domainName: "*" },
    { route: {} },
    { route: { action: "ROUTE" } },
  ),
});

const cluster = fc.record({
  name: fc.constantFrom(undefined, "outbound|80||a.shop.svc.cluster.local", "BlackHoleCluster", "constructor"),
  portNumber: ports,
  service: fc.constantFrom(undefined, "a.shop.svc.cluster.local"),
  subset: fc.constantFrom(undefined, "s1"),
});

const patch = fc.constantFrom(...Object.keys(values)).chain((applyTo) =>
  fc.record({
    applyTo: fc.constant(applyTo),
    match: fc.record({
      context: contexts,
      proxy: fc.constantFrom(undefined, {}, { proxyVersion: "^1" }, { metadata: { NAME: "x" } }),
      listener: fc.option(listener, { nil: undefined, freq: 2 }),
      routeConfiguration: fc.option(routeConfiguration, { nil: undefined, freq: 2 }),
      cluster: fc.option(cluster, { nil: undefined, freq: 2 }),
    }),
    patch: fc.record({
      operation: fc.constantFrom(
        "ADD",
        "MERGE",
        "MERGE_AND_REPLACE_LIST",
        "REMOVE",
        "REPLACE",
        "INSERT_BEFORE",
        "INSERT_AFTER",
        "INSERT_FIRST",
      ),
      value: fc.oneof(
        { weight: 5, arbitrary: fc.constantFrom(...(values[applyTo] ?? [{}])) },
        fc.constantFrom(...everywhere),
      ),
    }),
  }),
);

/** EnvoyFilters whose patches often meet something, and some that make no sense. */
export const envoyFilters: fc.Arbitrary<ObjectInput> = fc.record({
  kind: fc.constant("EnvoyFilter"),
  metadata: fc.record({
    name: fc.constantFrom("a", "b", "c"),
    namespace: fc.constantFrom("shop", "istio-system"),
    creationTimestamp: fc.constantFrom("2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),
  }),
  spec: fc.record({
    priority: fc.constantFrom(undefined, -1, 1),
    workloadSelector: fc.constantFrom(undefined, undefined, { labels: { app: "x" } }),
    configPatches: fc.array(patch, { maxLength: 4 }),
  }),
});

import {
  type Case,
  all,
  annotated,
  core,
  deployment,
  entry,
  networking,
  patch,
  podAnnotated,
  routes,
  security,
  service,
  sidecar,
  telemetry,
  tlsGateway,
  toReviews,
} from "./written.ts";

const bank = "apiVersion: v1\nkind: Namespace\nmetadata: { name: bank }\n";

/** A MeshConfig in its ConfigMap. */
export const meshConfig = (text: string): string =>
  `apiVersion: v1\nkind: ConfigMap\nmetadata: { name: istio, namespace: istio-system }\ndata: { mesh: "${text}" }\n`;

/** Mistakes in all other objects, one for each code at least. */
export const otherCases: readonly Case[] = [
  {
    code: "IST0101",
    title: "namespace",
    bad: all(
      bank,
      security("AuthorizationPolicy", "x", "{ rules: [{ from: [{ source: { namespaces: [b*, bonk] } }] }] }"),
    ),
    at: "AuthorizationPolicy x: spec.rules[0].from[0].source.namespaces[1]",
    good: all(
      bank,
      security("AuthorizationPolicy", "x", '{ rules: [{ from: [{ source: { namespaces: [b*, "*k", bank] } }] }] }'),
    ),
    live: true,
  },
  {
    code: "IST0127",
    title: "namespace without workloads",
    bad: security("AuthorizationPolicy", "x", "{}").replace("namespace: shop", "namespace: bank"),
    at: "AuthorizationPolicy x: metadata.namespace",
    good: security("AuthorizationPolicy", "x", "{}"),
    live: true,
  },
  {
    code: "IST0106",
    title: "wrong value",
    bad: routes(`[{ ${toReviews}, timeout: soon }]`),
    at: "VirtualService x: spec.http[0].timeout",
    good: routes(`[{ ${toReviews}, timeout: 1s }]`),
  },
  {
    code: "IST0106",
    title: "unknown field",
    bad: routes(`[{ ${toReviews}, timeuot: 1s }]`),
    at: "VirtualService x: spec.http[0].timeuot",
    good: routes(`[{ ${toReviews}, timeout: 1s }]`),
    fix: true,
  },
  {
    code: "IST0106",
    title: "MeshConfig",
    bad: meshConfig("connectTimeout: soon"),
    at: "ConfigMap istio: data.mesh",
    good: meshConfig("connectTimeout: 1s"),
  },
  {
    code: "IST0107",
    bad: annotated('sidecar.istio.io/proxyCPU: "1"'),
    at: "Service x: metadata.annotations[sidecar.istio.io/proxyCPU]",
    good: podAnnotated('sidecar.istio.io/proxyCPU: "1"'),
    fix: true,
  },
  {
    code: "IST0108",
    bad: annotated("networking.istio.io/exportToo: ."),
    at: "Service x: metadata.annotations[networking.istio.io/exportToo]",
    good: annotated("example.com/exportToo: ."),
    fix: true,
  },
  {
    code: "IST0110",
    bad: all(sidecar("a", "app: reviews"), sidecar("x", "version: v1")),
    at: "Sidecar x: spec.workloadSelector.labels",
    good: all(sidecar("a", "app: reviews"), sidecar("x", "istio: edge")),
  },
  {
    code: "IST0111",
    bad: all(
      networking("Sidecar", "a", '{ egress: [{ hosts: ["./*"] }] }'),
      networking("Sidecar", "x", '{ egress: [{ hosts: ["./*"] }] }'),
    ),
    at: "Sidecar x: spec.workloadSelector",
    good: networking("Sidecar", "x", '{ egress: [{ hosts: ["./*"] }] }'),
  },
  {
    code: "IST0116",
    bad: core(
      "Service",
      "x",
      "{ selector: { app: reviews }, ports: [{ name: udp, port: 80, protocol: UDP, targetPort: 80 }] }",
    ),
    at: "Deployment reviews-v1: metadata.name",
    good: core(
      "Service",
      "x",
      "{ selector: { app: reviews }, ports: [{ name: udp, port: 53, protocol: UDP, targetPort: 80 }] }",
    ),
  },
  {
    code: "IST0118",
    bad: service("x", "[{ name: web, port: 80 }]"),
    at: "Service x: spec.ports[0]",
    good: service(
      "x",
      "[{ name: web, port: 80, appProtocol: http }, { name: db, port: 3306 }, { name: grpc-a, port: 81 }]",
    ),
  },
  {
    code: "IST0123",
    bad: "apiVersion: v1\nkind: Namespace\nmetadata: { name: x, labels: { istio-injection: enabled, istio.io/rev: canary } }\n",
    at: "Namespace x: metadata.labels[istio-injection]",
    good: "apiVersion: v1\nkind: Namespace\nmetadata: { name: x, labels: { istio-injection: disabled, istio.io/rev: canary } }\n",
  },
  {
    code: "IST0125",
    bad: podAnnotated("traffic.sidecar.istio.io/excludeInboundPorts: a"),
    at: "Pod x: metadata.annotations[traffic.sidecar.istio.io/excludeInboundPorts]",
    good: podAnnotated('traffic.sidecar.istio.io/excludeInboundPorts: "80,90"'),
  },
  {
    code: "IST0127",
    bad: security("RequestAuthentication", "x", "{ selector: { matchLabels: { app: nobody } } }"),
    at: "RequestAuthentication x: spec.selector.matchLabels",
    good: security("RequestAuthentication", "x", "{ selector: { matchLabels: { app: reviews } } }"),
  },
  {
    code: "IST0134",
    bad: entry("x", "resolution: DNS, ports: [{ number: 5432, name: db, protocol: TCP }]"),
    at: "ServiceEntry x: spec.ports[0]",
    good: entry("x", "resolution: DNS, addresses: [10.9.9.9], ports: [{ number: 5432, name: db, protocol: TCP }]"),
  },
  {
    code: "IST0135",
    bad: podAnnotated('sidecar.istio.io/inject: "true"'),
    at: "Pod x: metadata.annotations[sidecar.istio.io/inject]",
    good: podAnnotated('sidecar.istio.io/inject: "true"').replace(
      "annotations: {",
      'labels: { sidecar.istio.io/inject: "true" }, annotations: {',
    ),
    fix: true,
  },
  {
    code: "IST0136",
    bad: annotated("networking.istio.io/exportTo: ."),
    at: "Service x: metadata.annotations[networking.istio.io/exportTo]",
    good: annotated("example.com/exportTo: ."),
  },
  {
    code: "IST0137",
    bad: core("Service", "x", "{ selector: { app: reviews }, ports: [{ name: http, port: 81, targetPort: web }] }"),
    at: "Deployment reviews-v1: metadata.name",
    good: core("Service", "x", "{ selector: { app: reviews }, ports: [{ name: http, port: 80, targetPort: web }] }"),
  },
  {
    code: "IST0138",
    bad: all(tlsGateway("a", "SIMPLE"), tlsGateway("x", "SIMPLE").replace("b.example.com", "c.example.com")),
    at: "Gateway x: spec.servers[0].tls",
    good: all(
      tlsGateway("a", "SIMPLE"),
      tlsGateway("x", "SIMPLE").replace("b.example.com", "c.example.com").replace("/a", "/c"),
    ),
  },
  {
    code: "IST0144",
    bad: deployment("x", "app: x", ", securityContext: { runAsUser: 1337 }"),
    at: "Deployment x: spec.template.spec.containers[0].securityContext.runAsUser",
    good: deployment("x", "app: x", ", securityContext: { runAsUser: 1338 }"),
    fix: true,
  },
  {
    code: "IST0145",
    bad: networking(
      "Gateway",
      "x",
      "{ selector: { istio: edge }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [shop.example.com] }] }",
    ),
    at: "Gateway x: spec.servers[0]",
    good: networking(
      "Gateway",
      "x",
      "{ selector: { istio: edge }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [b.example.com] }] }",
    ),
  },
  {
    code: "IST0150",
    bad: service("x", "[{ name: tcp, port: 80 }]", ", type: ExternalName, externalName: api.example.com"),
    at: "Service x: spec.ports[0]",
    good: service("x", "[{ name: http, port: 80 }]", ", type: ExternalName, externalName: api.example.com"),
  },
  {
    code: "IST0151",
    bad: patch("HTTP_FILTER", "INSERT_BEFORE"),
    at: "EnvoyFilter x: spec.configPatches[0]",
    good: patch("HTTP_FILTER", "INSERT_BEFORE", "priority: 1, "),
  },
  {
    code: "IST0152",
    bad: patch("CLUSTER", "REPLACE"),
    at: "EnvoyFilter x: spec.configPatches[0].patch.operation",
    good: patch("CLUSTER", "MERGE"),
  },
  {
    code: "IST0153",
    bad: patch("ROUTE_CONFIGURATION", "ADD"),
    at: "EnvoyFilter x: spec.configPatches[0].patch.operation",
    good: patch("CLUSTER", "ADD"),
  },
  {
    code: "IST0154",
    bad: patch("ROUTE_CONFIGURATION", "REMOVE"),
    at: "EnvoyFilter x: spec.configPatches[0].patch.operation",
    good: patch("CLUSTER", "REMOVE", "priority: 1, "),
  },
  {
    code: "IST0155",
    bad: all(
      patch("HTTP_FILTER", "INSERT_FIRST")
        .replace("name: x", "name: a")
        .replace("match: {", "match: { proxy: { proxyVersion: ^1 },"),
      patch("HTTP_FILTER", "INSERT_BEFORE"),
    ),
    at: "EnvoyFilter x: spec.configPatches[0]",
    good: patch("HTTP_FILTER", "INSERT_FIRST"),
  },
  {
    code: "IST0157",
    bad: telemetry("x", "{ accessLogging: [{ match: { mode: CLIENT } }] }"),
    at: "Telemetry x: spec.accessLogging[0]",
    good: telemetry("x", "{ accessLogging: [{ providers: [{ name: envoy }] }, { disabled: true }] }"),
  },
  {
    code: "IST0157",
    title: "with a default of another sort",
    bad: all(
      meshConfig("defaultProviders: { metrics: [prometheus] }"),
      telemetry("x", "{ accessLogging: [{ match: { mode: CLIENT } }] }"),
    ),
    at: "Telemetry x: spec.accessLogging[0]",
    good: all(
      meshConfig("defaultProviders: { accessLogging: [envoy] }"),
      telemetry("x", "{ accessLogging: [{ match: { mode: CLIENT } }] }"),
    ),
  },
  {
    code: "IST0159",
    bad: all(
      telemetry("a", "{ selector: { matchLabels: { app: reviews } } }"),
      telemetry("x", "{ selector: { matchLabels: { version: v1 } } }"),
    ),
    at: "Telemetry x: spec.selector.matchLabels",
    good: all(
      telemetry("a", "{ selector: { matchLabels: { app: reviews } } }"),
      telemetry("x", "{ selector: { matchLabels: { istio: edge } } }"),
    ),
  },
  {
    code: "IST0160",
    bad: all(telemetry("a", "{}"), telemetry("x", "{}")),
    at: "Telemetry x: metadata.name",
    good: telemetry("x", "{}"),
  },
  {
    code: "IST0162",
    bad: networking(
      "Gateway",
      "x",
      "{ selector: { istio: edge }, servers: [{ port: { number: 8443, name: http, protocol: HTTP }, hosts: [b.example.com] }] }",
    ),
    at: "Gateway x: spec.servers[0].port.number",
    good: networking(
      "Gateway",
      "x",
      "{ selector: { istio: edge }, servers: [{ port: { number: 443, name: http, protocol: HTTP }, hosts: [b.example.com] }] }",
    ),
  },
  {
    code: "IST0170",
    bad: service("x", "[{ name: http, port: 80 }]"),
    west: service("x", "[{ name: http, port: 81 }]"),
    at: "Service x: spec",
    good: service("x", "[{ name: http, port: 81 }]"),
  },
  {
    code: "IST0177",
    bad: all(
      entry("a", "resolution: DNS, ports: [{ number: 443, name: https, protocol: TLS }]"),
      entry("x", "resolution: DNS, ports: [{ number: 443, name: https, protocol: HTTPS }]"),
    ),
    at: "ServiceEntry x: spec.ports[0]",
    good: all(
      entry("a", "resolution: DNS, ports: [{ number: 443, name: https, protocol: TLS }]"),
      entry("x", "resolution: DNS, ports: [{ number: 443, name: https, protocol: tls }]"),
    ),
  },
  {
    code: "ConflictingPolicies",
    title: "for some workloads",
    bad: all(
      security("PeerAuthentication", "a", "{ selector: { matchLabels: { app: reviews } } }"),
      security("PeerAuthentication", "x", "{ selector: { matchLabels: { version: v1 } } }"),
    ),
    at: "PeerAuthentication x: spec.selector.matchLabels",
    good: security("PeerAuthentication", "x", "{ selector: { matchLabels: { version: v1 } } }"),
  },
  {
    code: "ConflictingPolicies",
    title: "for all workloads",
    bad: all(security("PeerAuthentication", "a", "{}"), security("PeerAuthentication", "x", "{}")),
    at: "PeerAuthentication x: metadata.name",
    good: security("PeerAuthentication", "x", "{}"),
  },
  {
    code: "ProtocolPassedOn",
    title: "of a Service",
    bad: service("x", "[{ name: mysql, port: 3306 }]"),
    at: "Service x: spec.ports[0]",
    good: service("x", "[{ name: tcp-mysql, port: 3306 }]"),
  },
  {
    code: "ProtocolPassedOn",
    title: "of a ServiceEntry",
    bad: entry("x", "resolution: DNS, addresses: [10.9.9.9], ports: [{ number: 3306, name: db, protocol: MySQL }]"),
    at: "ServiceEntry x: spec.ports[0].protocol",
    good: entry("x", "resolution: DNS, addresses: [10.9.9.9], ports: [{ number: 3306, name: db, protocol: TCP }]"),
  },
  {
    code: "ServerFirstProtocolOnSniffedPort",
    title: "of a Service",
    bad: service("x", "[{ name: db, port: 13306, targetPort: 3306 }]"),
    at: "Service x: spec.ports[0]",
    good: service(
      "x",
      "[{ name: db, port: 13306, targetPort: 3306, appProtocol: tcp }, { name: web, port: 80, appProtocol: http }]",
    ),
    fix: true,
    beside: ["IST0118"],
  },
  {
    code: "ServerFirstProtocolOnSniffedPort",
    title: "of a ServiceEntry",
    bad: entry("x", "resolution: DNS, addresses: [10.9.9.9], ports: [{ number: 3306, name: db }]"),
    at: "ServiceEntry x: spec.ports[0]",
    good: entry("x", "resolution: DNS, addresses: [10.9.9.9], ports: [{ number: 3306, name: db, protocol: TCP }]"),
    fix: true,
  },
  {
    code: "UnknownHost",
    bad: networking("Sidecar", "x", '{ egress: [{ hosts: ["./reviewz.shop.svc.cluster.local"] }] }'),
    at: "Sidecar x: spec.egress[0].hosts[0]",
    good: networking("Sidecar", "x", '{ egress: [{ hosts: ["./reviews.shop.svc.cluster.local"] }] }'),
    fix: true,
  },
  {
    code: "UnknownKind",
    bad: "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: { name: x, namespace: shop }\n",
    at: "HorizontalPodAutoscaler x: kind",
    good: core("ConfigMap", "x", "{}").replace("spec: {}\n", ""),
  },
];

import {
  type Case,
  all,
  entry,
  jwtRoutes,
  networking,
  routes,
  rule,
  security,
  sidecar,
  telemetry,
  tlsGateway,
  toReviews,
} from "./written.ts";

/** Mistakes in what routes requests, one for each code at least. */
export const routingCases: readonly Case[] = [
  {
    code: "IST0002",
    bad: routes(`[{ ${toReviews}, fault: { delay: { percent: 10, fixedDelay: 1s } } }]`),
    at: "VirtualService x: spec.http[0].fault.delay.percent",
    good: routes(`[{ ${toReviews}, fault: { delay: { percentage: { value: 10 }, fixedDelay: 1s } } }]`),
    fix: true,
  },
  {
    code: "IST0101",
    title: "host",
    bad: routes("[{ route: [{ destination: { host: reviewz } }] }]"),
    at: "VirtualService x: spec.http[0].route[0].destination.host",
    good: routes(`[{ ${toReviews} }]`),
    fix: true,
  },
  {
    code: "IST0101",
    title: "subset",
    bad: routes("[{ route: [{ destination: { host: reviews, subset: v2 } }] }]"),
    at: "VirtualService x: spec.http[0].route[0].destination.subset",
    good: routes("[{ route: [{ destination: { host: reviews, subset: v1 } }] }]"),
    fix: true,
  },
  {
    code: "IST0101",
    title: "port",
    bad: routes("[{ route: [{ destination: { host: reviews, port: { number: 81 } } }] }]"),
    at: "VirtualService x: spec.http[0].route[0].destination.port.number",
    good: routes("[{ route: [{ destination: { host: reviews, port: { number: 80 } } }] }]"),
    fix: true,
  },
  {
    code: "IST0101",
    title: "gateway",
    bad: networking("VirtualService", "x", `{ hosts: [shop.example.com], gateways: [egde], http: [{ ${toReviews} }] }`),
    at: "VirtualService x: spec.gateways[0]",
    good: networking(
      "VirtualService",
      "x",
      `{ hosts: [shop.example.com], gateways: [edge], http: [{ ${toReviews} }] }`,
    ),
    fix: true,
  },
  {
    code: "IST0101",
    title: "gateway's selector",
    bad: networking(
      "Gateway",
      "x",
      "{ selector: { istio: nobody }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [b.example.com] }] }",
    ),
    at: "Gateway x: spec.selector",
    good: networking(
      "Gateway",
      "x",
      "{ selector: { istio: edge }, servers: [{ port: { number: 80, name: http, protocol: HTTP }, hosts: [b.example.com] }] }",
    ),
    live: true,
  },
  {
    code: "IST0101",
    title: "sidecar's selector",
    bad: sidecar("x", "app: nobody"),
    at: "Sidecar x: spec.workloadSelector.labels",
    good: sidecar("x", "app: reviews"),
    live: true,
  },
  {
    code: "IST0101",
    title: "telemetry's selector",
    bad: telemetry("x", "{ selector: { matchLabels: { app: nobody } } }"),
    at: "Telemetry x: spec.selector.matchLabels",
    good: telemetry("x", "{ selector: { matchLabels: { app: reviews } } }"),
  },
  {
    code: "IST0109",
    bad: all(routes(`[{ ${toReviews} }]`).replace("name: x", "name: a"), routes(`[{ ${toReviews} }]`)),
    at: "VirtualService x: spec.hosts[0]",
    good: routes(`[{ ${toReviews} }]`),
  },
  {
    code: "IST0112",
    bad: routes("[{ route: [{ destination: { host: store } }] }]"),
    at: "VirtualService x: spec.http[0].route[0].destination.host",
    good: routes("[{ route: [{ destination: { host: store, port: { number: 80 } } }] }]"),
    fix: true,
  },
  {
    code: "IST0128",
    bad: rule("{ tls: { mode: SIMPLE } }"),
    at: "DestinationRule x: spec.trafficPolicy.tls",
    good: rule("{ tls: { mode: SIMPLE, caCertificates: /ca.pem } }"),
  },
  {
    code: "IST0129",
    bad: rule(
      "{ portLevelSettings: [{ port: { number: 80 }, tls: { mode: MUTUAL, clientCertificate: /a, privateKey: /b } }] }",
    ),
    at: "DestinationRule x: spec.trafficPolicy.portLevelSettings[0].tls",
    good: rule("{ portLevelSettings: [{ port: { number: 80 }, tls: { mode: ISTIO_MUTUAL } }] }"),
  },
  {
    code: "IST0130",
    title: "after a rule for everything",
    bad: routes(`[{ ${toReviews} }, { match: [{ uri: { prefix: /a } }], ${toReviews} }]`),
    at: "VirtualService x: spec.http[1]",
    good: routes(`[{ match: [{ uri: { prefix: /a } }], ${toReviews} }, { ${toReviews} }]`),
    fix: true,
  },
  {
    code: "IST0130",
    title: "after a rule with the same match",
    bad: routes(
      `[{ match: [{ uri: { exact: /a } }], ${toReviews} }, { match: [{ uri: { exact: /a } }], ${toReviews} }]`,
    ),
    at: "VirtualService x: spec.http[1]",
    good: routes(
      `[{ match: [{ uri: { exact: /a } }], ${toReviews} }, { match: [{ uri: { exact: /b } }], ${toReviews} }]`,
    ),
    fix: true,
    beside: ["IST0131"],
  },
  {
    code: "IST0131",
    title: "the same match",
    bad: routes(
      `[{ match: [{ uri: { exact: /a } }], ${toReviews} }, { match: [{ uri: { exact: /a } }, { uri: { exact: /b } }], ${toReviews} }]`,
    ),
    at: "VirtualService x: spec.http[1].match[0]",
    good: routes(
      `[{ match: [{ uri: { exact: /a } }], ${toReviews} }, { match: [{ uri: { exact: /b } }], ${toReviews} }]`,
    ),
    fix: true,
  },
  {
    code: "IST0131",
    title: "a longer prefix",
    bad: routes(
      `[{ match: [{ uri: { prefix: /a } }], ${toReviews} }, { match: [{ uri: { prefix: /a/b } }], ${toReviews} }]`,
    ),
    at: "VirtualService x: spec.http[1].match[0]",
    good: routes(
      `[{ match: [{ uri: { prefix: /a/b } }], ${toReviews} }, { match: [{ uri: { prefix: /a } }], ${toReviews} }]`,
    ),
    fix: true,
  },
  {
    code: "IST0132",
    bad: networking(
      "VirtualService",
      "x",
      `{ hosts: [other.example.org], gateways: [edge], http: [{ ${toReviews} }] }`,
    ),
    at: "VirtualService x: spec.hosts[0]",
    good: networking(
      "VirtualService",
      "x",
      `{ hosts: [shop.example.com], gateways: [edge], http: [{ ${toReviews} }] }`,
    ),
  },
  {
    code: "IST0133",
    bad: routes(`[{ ${toReviews}, fault: { abort: { percentage: { value: 1 } } } }]`),
    at: "VirtualService x: spec.http[0].fault.abort",
    good: routes(`[{ ${toReviews}, fault: { abort: { httpStatus: 500, percentage: { value: 1 } } } }]`),
  },
  {
    code: "IST0140",
    bad: all(
      networking("VirtualService", "x", `{ hosts: [shop.example.com], gateways: [edge], http: [{ ${toReviews} }] }`),
      routes("[{ route: [{ destination: { host: reviews, subset: v1 } }] }]").replace("name: x", "name: y"),
    ),
    at: "VirtualService x: spec.http[0].route[0].destination.host",
    good: all(
      networking("VirtualService", "x", `{ hosts: [shop.example.com], gateways: [edge], http: [{ ${toReviews} }] }`),
      routes(`[{ ${toReviews} }]`).replace("name: x", "name: y"),
    ),
  },
  {
    code: "IST0149",
    bad: jwtRoutes,
    at: "VirtualService x: spec.http[0].match[0].headers",
    good: all(jwtRoutes, security("RequestAuthentication", "x", "{ selector: { matchLabels: { istio: edge } } }")),
  },
  {
    code: "IST0173",
    bad: networking("DestinationRule", "x", "{ host: reviews, subsets: [{ name: v2, labels: { version: v2 } }] }"),
    at: "DestinationRule x: spec.subsets[0]",
    good: networking("DestinationRule", "x", "{ host: reviews, subsets: [{ name: other, labels: { version: v1 } }] }"),
  },
  {
    code: "IST0174",
    bad: networking("DestinationRule", "x", "{ host: reviewz }"),
    at: "DestinationRule x: spec.host",
    good: networking("DestinationRule", "x", "{ host: store }"),
    fix: true,
  },
  {
    code: "GatewayRouteMismatch",
    title: "TLS is ended",
    bad: all(
      tlsGateway("y", "SIMPLE"),
      networking(
        "VirtualService",
        "x",
        `{ hosts: [b.example.com], gateways: [y], tls: [{ match: [{ sniHosts: [b.example.com] }], ${toReviews} }] }`,
      ),
    ),
    at: "VirtualService x: spec.tls",
    good: all(
      tlsGateway("y", "SIMPLE"),
      networking("VirtualService", "x", `{ hosts: [b.example.com], gateways: [y], http: [{ ${toReviews} }] }`),
    ),
  },
  {
    code: "GatewayRouteMismatch",
    title: "TLS is passed through",
    bad: all(
      tlsGateway("y", "PASSTHROUGH"),
      networking("VirtualService", "x", `{ hosts: [b.example.com], gateways: [y], http: [{ ${toReviews} }] }`),
    ),
    at: "VirtualService x: spec.http",
    good: all(
      tlsGateway("y", "PASSTHROUGH"),
      networking(
        "VirtualService",
        "x",
        `{ hosts: [b.example.com], gateways: [y], tls: [{ match: [{ sniHosts: [b.example.com] }], ${toReviews} }] }`,
      ),
    ),
  },
  {
    code: "LocalityWithoutOutlierDetection",
    bad: rule("{ loadBalancer: { localityLbSetting: { enabled: true } } }"),
    at: "DestinationRule x: spec.trafficPolicy.loadBalancer.localityLbSetting",
    good: rule(
      "{ loadBalancer: { localityLbSetting: { enabled: true } }, outlierDetection: { consecutive5xxErrors: 3 } }",
    ),
    fix: true,
  },
  {
    code: "TlsOverTls",
    bad: all(
      entry("y", "resolution: DNS, ports: [{ number: 443, name: https, protocol: HTTPS }]"),
      networking(
        "DestinationRule",
        "x",
        "{ host: api.example.com, trafficPolicy: { tls: { mode: SIMPLE, caCertificates: /ca } } }",
      ),
    ),
    at: "DestinationRule x: spec.trafficPolicy.tls",
    good: all(
      entry("y", "resolution: DNS, ports: [{ number: 443, name: http, protocol: HTTP }]"),
      networking(
        "DestinationRule",
        "x",
        "{ host: api.example.com, trafficPolicy: { tls: { mode: SIMPLE, caCertificates: /ca } } }",
      ),
    ),
  },
  {
    code: "UnmatchableServerName",
    bad: networking(
      "VirtualService",
      "x",
      `{ hosts: ["*.example.com"], tls: [{ match: [{ sniHosts: ["*a.example.com"] }], ${toReviews} }] }`,
    ),
    at: "VirtualService x: spec.tls[0].match[0].sniHosts",
    good: networking(
      "VirtualService",
      "x",
      `{ hosts: ["*.example.com"], tls: [{ match: [{ sniHosts: ["*.example.com"] }], ${toReviews} }] }`,
    ),
    fix: true,
  },
  {
    code: "UnsafeRetries",
    bad: routes(`[{ ${toReviews}, retries: { attempts: 2, retryOn: "5xx,connect-failure" } }]`),
    at: "VirtualService x: spec.http[0].retries.retryOn",
    good: all(
      routes(
        `[{ match: [{ method: { exact: GET } }], ${toReviews}, retries: { attempts: 2, retryOn: 5xx } }, { ${toReviews}, retries: { attempts: 2, retryOn: connect-failure } }]`,
      ),
    ),
    fix: true,
  },
];

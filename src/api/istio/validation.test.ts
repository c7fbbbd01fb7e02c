import { describe, expect, test } from "vitest";
import type { Admission } from "../validation.ts";
import { kindOf } from "../kinds.ts";
import { type Case, errorLines, submit } from "../testing/submit.ts";

const admit = (kind: string, spec: object, metadata: object = {}): Admission =>
  submit(kindOf("networking.istio.io", kind), { spec }, { metadata });
const errorsOf = (kind: string, spec: object, metadata: object = {}): readonly string[] =>
  errorLines(admit(kind, spec, metadata));

const to = (host: string, more: object = {}): object => ({ destination: { host, ...more } });
const route = [to("reviews")];
/** A VirtualService of one rule. */
const rule = (http: object): object => ({ hosts: ["reviews"], http: [http] });
const matching = (match: object): object => rule({ match: [match], route });

describe("VirtualService", () => {
  const names: readonly Case[] = [
    [{ hosts: ["reviews"] }, "spec: Required value: http, tls or tcp"],
    [
      { ...rule({ route }), hosts: ["a_b"] },
      'spec.hosts[0]: Invalid value: "a_b": must be a DNS name, and its part "a_b" cannot be',
    ],
    [{ ...rule({ route }), hosts: [""] }, 'spec.hosts[0]: Invalid value: "": must not be empty'],
    [
      { ...rule({ route }), hosts: ["a.*.com"] },
      'spec.hosts[0]: Invalid value: "a.*.com": must be a DNS name, and its part "*" cannot be',
    ],
    [
      { ...rule({ route }), hosts: ["1.2.3"] },
      'spec.hosts[0]: Invalid value: "1.2.3": the last part of a DNS name, 3, must not be a number',
    ],
    [
      { ...rule({ route }), hosts: ["*"] },
      'spec.hosts[0]: Invalid value: "*": must not be every host where the rules are for sidecars',
    ],
    [{ ...rule({ route }), hosts: ["*.a.com", "b.a.com"] }, 'spec.hosts[1]: Duplicate value: "b.a.com"'],
    [
      { ...rule({ route }), gateways: ["a b"] },
      'spec.gateways[0]: Invalid value: "a b": must be a DNS name, and its part "a b" cannot be',
    ],
    [
      { ...rule({ route }), gateways: ["shop/"] },
      `spec.gateways[0]: Invalid value: "shop/": must be namespace/name, each of letters, digits and '-'`,
    ],
    [
      { ...rule({ route }), hosts: [], gateways: ["front"] },
      "spec.gateways: Forbidden: must be absent where there are no hosts",
    ],
    [{ ...rule({ route }), exportTo: ["*", "other"] }, 'spec.exportTo[0]: Invalid value: "*": must be the only entry'],
    [{ ...rule({ route }), exportTo: [".", "shop"] }, 'spec.exportTo[1]: Duplicate value: "shop"'],
    [
      { ...rule({ route }), exportTo: ["~"] },
      `spec.exportTo[0]: Invalid value: "~": must be a namespace, '.' for the object's own, or '*' for all`,
    ],
  ];
  test.each(names)("names: %j", (spec, error) => {
    expect(errorsOf("VirtualService", spec)).toEqual([error]);
  });

  const matches: readonly Case[] = [
    [
      { uri: { regex: "(" } },
      'uri.regex: Invalid value: "(": must be a regular expression of RE2: missing closing ): `(`',
    ],
    [
      { uri: { regex: "(?=a)" } },
      'uri.regex: Invalid value: "(?=a)": must be a regular expression of RE2: invalid or unsupported Perl syntax: `(?=`',
    ],
    [{ method: { prefix: "" } }, 'method.prefix: Invalid value: "": must not be empty'],
    [{ headers: { "": { exact: "a" } } }, `headers[]: Invalid value: "": a header's name must not be empty`],
    [{ headers: { "a b": {} } }, `headers[a b]: Invalid value: "a b": is no header's name`],
    [
      { headers: { a: { regex: "*" } } },
      'headers[a].regex: Invalid value: "*": must be a regular expression of RE2: missing argument to repetition operator: `*`',
    ],
    [{ withoutHeaders: { a: { prefix: "" } } }, 'withoutHeaders[a].prefix: Invalid value: "": must not be empty'],
    [
      { headers: { "@request.auth.claims.group": {} } },
      "headers[@request.auth.claims.group]: Forbidden: claims can be matched by gateways only",
    ],
    [
      { queryParams: { q: { regex: "[" } } },
      'queryParams[q].regex: Invalid value: "[": must be a regular expression of RE2: missing closing ]: `[`',
    ],
    [{ port: 70_000 }, "port: Invalid value: 70000: must be between 1 and 65535"],
    [
      { sourceLabels: { app: "a b" } },
      `sourceLabels[app]: Invalid value: "a b": must be letters, digits, '-', '_' and '.', with a letter or digit at both ends`,
    ],
    [
      { sourceNamespace: "a.b" },
      `sourceNamespace: Invalid value: "a.b": must be letters, digits and '-', with a letter or digit at both ends, at most 63 characters`,
    ],
    [
      { gateways: ["a/b/c"] },
      `gateways[0]: Invalid value: "a/b/c": must be namespace/name, each of letters, digits and '-'`,
    ],
  ];
  test.each(matches)("matches: %j", (match, error) => {
    expect(errorsOf("VirtualService", matching(match))).toEqual([`spec.http[0].match[0].${error}`]);
  });

  const actions: readonly Case[] = [
    [{}, "route: Required value: route, redirect or directResponse"],
    [{ route, redirect: { uri: "/a" } }, "route: Forbidden: only one of redirect, route may be set"],
    [
      { redirect: { uri: "/a" }, fault: { abort: { httpStatus: 500 } } },
      "fault: Forbidden: only one of redirect, fault may be set",
    ],
    [
      { redirect: { uri: "/a" }, directResponse: { status: 200 } },
      "directResponse: Forbidden: only one of redirect, directResponse may be set",
    ],
    [
      { directResponse: { status: 200 }, rewrite: { uri: "/" } },
      "rewrite: Forbidden: only one of directResponse, rewrite may be set",
    ],
    [{ delegate: { name: "a" }, route }, "route: Forbidden: the route delegates to another VirtualService"],
    [{ redirect: {} }, "redirect: Required value: uri, prefixRewrite, authority, scheme or port"],
    [
      { redirect: { uri: "/a", prefixRewrite: "/b" } },
      "redirect.prefixRewrite: Forbidden: only one of uri, prefixRewrite may be set",
    ],
    [
      { match: [{ uri: { exact: "/a" } }], redirect: { prefixRewrite: "/b" } },
      "redirect.prefixRewrite: Forbidden: every match of the path must be by prefix",
    ],
    [
      { redirect: { uri: "/a", redirectCode: 200 } },
      "redirect.redirectCode: Invalid value: 200: must be between 300 and 399",
    ],
    [{ redirect: { scheme: "ftp" } }, 'redirect.scheme: Unsupported value: "ftp": supported values: "http", "https"'],
    [
      { redirect: { port: 1, derivePort: "FROM_REQUEST_PORT" } },
      "redirect.derivePort: Forbidden: only one of port, derivePort may be set, and port is",
    ],
    [{ directResponse: { status: 199 } }, "directResponse.status: Invalid value: 199: must be between 200 and 599"],
    [
      { directResponse: { status: 200, body: { string: "x".repeat(1_048_577) } } },
      'directResponse.body: Invalid value: "1048577 bytes": must have 1048576 bytes or fewer',
    ],
    [{ route, rewrite: {} }, "rewrite: Required value: uri, uriRegexRewrite or authority"],
    [
      { route, rewrite: { uri: "/", uriRegexRewrite: { match: "a", rewrite: "b" } } },
      "rewrite.uriRegexRewrite: Forbidden: only one of uri, uriRegexRewrite may be set",
    ],
    [{ route, rewrite: { uriRegexRewrite: { match: "a" } } }, "rewrite.uriRegexRewrite.rewrite: Required value"],
    [
      { route, rewrite: { uriRegexRewrite: { match: "a(", rewrite: "b" } } },
      'rewrite.uriRegexRewrite.match: Invalid value: "a(": must be a regular expression of RE2: missing closing ): `a(`',
    ],
    [
      { route, timeout: "0s" },
      'timeout: Invalid value: "0s": must be a duration of whole milliseconds, 1ms or more, such as 250ms, 10s or 1h30m',
    ],
    [
      { route, timeout: "1.5ms" },
      'timeout: Invalid value: "1.5ms": must be a duration of whole milliseconds, 1ms or more, such as 250ms, 10s or 1h30m',
    ],
    [{ route, retries: { attempts: -1 } }, "retries.attempts: Invalid value: -1: must be 0 or more"],
    [
      { route, retries: { retryOn: "5xx" } },
      "retries.attempts: Invalid value: 0: must be 1 or more where other settings of retries are given",
    ],
    [
      { route, retries: { attempts: 1, retryOn: "5xx,sometimes" } },
      `retries.retryOn: Invalid value: "sometimes": must be one of Envoy's retry conditions or an HTTP status`,
    ],
    [
      { route, retries: { attempts: 1, retryOn: "599" } },
      `retries.retryOn: Invalid value: "599": must be one of Envoy's retry conditions or an HTTP status`,
    ],
    [{ route, fault: {} }, "fault: Required value: abort or delay"],
    [
      { route, fault: { abort: { httpStatus: 100 } } },
      "fault.abort.httpStatus: Invalid value: 100: must be between 200 and 599",
    ],
    [{ route, fault: { abort: { http2Error: "REFUSED" } } }, "fault.abort.http2Error: Forbidden: not supported"],
    [{ route, fault: { delay: { exponentialDelay: "1s" } } }, "fault.delay.exponentialDelay: Forbidden: not supported"],
    [
      { route, fault: { delay: { fixedDelay: "1s", percentage: { value: 101 } } } },
      "fault.delay.percentage.value: Invalid value: 101: must be between 0 and 100",
    ],
    [
      { route, fault: { delay: { fixedDelay: "1s", percentage: { value: 0.00001 } } } },
      "fault.delay.percentage.value: Invalid value: 0.00001: must be 0, or 0.0001 or more",
    ],
    [{ route, mirror: { host: "*" } }, 'mirror.host: Invalid value: "*": must be one service'],
    [
      { route, mirror: { host: "a" }, mirrors: [to("b")] },
      "mirrors: Forbidden: only one of mirror, mirrors may be set",
    ],
    [
      { route, mirrors: [{ ...to("b"), percentage: { value: -1 } }] },
      "mirrors[0].percentage.value: Invalid value: -1: must be between 0 and 100",
    ],
    [
      { route, mirror: { host: "a" }, mirror_percent: 101 },
      "mirror_percent: Invalid value: 101: must be between 0 and 100",
    ],
    [
      { route, corsPolicy: { allowOrigins: [{}] } },
      "corsPolicy.allowOrigins[0]: Required value: exact, prefix or regex",
    ],
    [
      { route, corsPolicy: { allowMethods: ["FETCH"] } },
      'corsPolicy.allowMethods[0]: Unsupported value: "FETCH": supported values: "GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "CONNECT", "OPTIONS", "TRACE", "*"',
    ],
    [
      { route, corsPolicy: { exposeHeaders: ["a b"] } },
      `corsPolicy.exposeHeaders[0]: Invalid value: "a b": is no header's name`,
    ],
    [{ route, corsPolicy: { maxAge: "1500ms" } }, 'corsPolicy.maxAge: Invalid value: "1500ms": must be whole seconds'],
    [
      { route, headers: { request: { remove: ["Host"] } } },
      "headers.request.remove[0]: Forbidden: Host cannot be changed here",
    ],
    [
      { route, headers: { request: { set: { ":path": "/" } } } },
      "headers.request.set[:path]: Forbidden: :path cannot be changed here",
    ],
    [
      { route, headers: { response: { add: { ":authority": "a" } } } },
      "headers.response.add[:authority]: Forbidden: :authority cannot be changed here",
    ],
    [
      { route, headers: { request: { set: { a: "100%" } } } },
      `headers.request.set[a]: Invalid value: "100%": write %% for a percent sign; a command of Envoy's ends with one: %PROTOCOL%`,
    ],
    [
      { route, headers: { request: { set: { a: "a\nb" } } } },
      `headers.request.set[a]: Invalid value: "a\\nb": must not hold control characters`,
    ],
    [
      { route, rewrite: { authority: "a" }, headers: { request: { set: { host: "b" } } } },
      "headers.request.set[host]: Forbidden: the authority is set to a already",
    ],
    [
      { route: [to("a.b_c")] },
      'route[0].destination.host: Invalid value: "a.b_c": must be a DNS name, and its part "b_c" cannot be',
    ],
    [
      { route: [to("a", { subset: "v 1" })] },
      `route[0].destination.subset: Invalid value: "v 1": must be letters, digits and '-', with a letter or digit at both ends, at most 63 characters`,
    ],
    [
      { route: [to("a", { port: {} })] },
      "route[0].destination.port.number: Invalid value: 0: must be between 1 and 65535",
    ],
    [{ route: [{ ...to("a"), weight: -1 }] }, "route[0].weight: Invalid value: -1: must be 0 or more"],
    [{ route: [to("a"), to("b")] }, "route: Invalid value: 0: the weights of several destinations must not all be 0"],
    [
      { route: [{ ...to("a"), headers: { response: { remove: [""] } } }] },
      `route[0].headers.response.remove[0]: Invalid value: "": a header's name must not be empty`,
    ],
  ];
  test.each(actions)("rules: %j", (http, error) => {
    expect(errorsOf("VirtualService", rule(http))).toEqual([`spec.http[0].${error}`]);
  });

  test("a VirtualService to which others delegate cannot delegate on", () => {
    expect(errorsOf("VirtualService", { http: [{ delegate: { name: "a" }, route }] })).toEqual([
      "spec.http[0].delegate: Forbidden: what is delegated to cannot delegate on",
    ]);
  });

  const connections: readonly Case[] = [
    [{ hosts: ["a.com"], tls: [{ match: [], route }] }, "spec.tls[0].match: Required value: at least one match"],
    [
      { hosts: ["a.com"], tls: [{ match: [{ sniHosts: [] }], route }] },
      "spec.tls[0].match[0].sniHosts: Required value: at least one host",
    ],
    [
      { hosts: ["a.com"], tls: [{ match: [{ sniHosts: ["b.com"] }], route }] },
      'spec.tls[0].match[0].sniHosts[0]: Invalid value: "b.com": must be among the hosts of the VirtualService',
    ],
    [
      { hosts: ["a.com"], tls: [{ match: [{ sniHosts: ["*.a.com"] }], route }] },
      'spec.tls[0].match[0].sniHosts[0]: Invalid value: "*.a.com": must be among the hosts of the VirtualService',
    ],
    [
      { hosts: ["a.com"], tls: [{ match: [{ sniHosts: ["a.com"] }] }] },
      "spec.tls[0].route: Required value: at least one destination",
    ],
    [{ hosts: ["a.com"], tcp: [{}] }, "spec.tcp[0].route: Required value: at least one destination"],
    [
      { hosts: ["a.com"], tcp: [{ match: [{ destinationSubnets: ["10.0.0.0/33"] }], route }] },
      'spec.tcp[0].match[0].destinationSubnets[0]: Invalid value: "10.0.0.0/33": must be an IP address or a network in CIDR form, such as 10.0.0.0/8',
    ],
    [
      { hosts: ["a.com"], tcp: [{ match: [{ port: 65_536 }], route }] },
      "spec.tcp[0].match[0].port: Invalid value: 65536: must be between 1 and 65535",
    ],
  ];
  test.each(connections)("connections: %j", (spec, error) => {
    expect(errorsOf("VirtualService", spec)).toEqual([error]);
  });

  test("every error of an object is told at once", () => {
    const spec = { hosts: ["a b"], http: [{ route: [to("*")], timeout: "1s", retries: { attempts: -1 } }, {}] };
    expect(errorsOf("VirtualService", spec)).toHaveLength(4);
  });

  const warnings: readonly Case[] = [
    [
      rule({ route, mirror: { host: "a" }, mirrorPercent: 10 }),
      "spec.http[0].mirrorPercent: deprecated; use mirrorPercentage",
    ],
    [rule({ route, fault: { abort: {} } }), "spec.http[0].fault.abort: does nothing without httpStatus or grpcStatus"],
    [
      { ...rule({ route }), hosts: ["a.com"], gateways: ["front.shop.svc.cluster.local"] },
      "spec.gateways[0]: an old form of a Gateway's name; write shop/front",
    ],
    [
      rule({ directResponse: { status: 200, body: { string: "x".repeat(102_401) } } }),
      "spec.http[0].directResponse.body: bodies of more than 102400 bytes slow the control plane",
    ],
    [
      { hosts: ["reviews"], http: [{ route }, { match: [{ uri: { exact: "/a" } }], route }] },
      "spec.http[1]: never used, since spec.http[0] matches everything",
    ],
    [
      {
        hosts: ["reviews"],
        http: [
          { match: [{ name: "x", uri: { exact: "/a" } }], route },
          { match: [{ uri: { exact: "/a" } }, { port: 1 }], route },
        ],
      },
      "spec.http[1].match[0]: never used, since spec.http[0] has it too",
    ],
    [
      {
        hosts: ["reviews"],
        http: [
          { match: [{ uri: { prefix: "/api" } }], route },
          { match: [{ uri: { prefix: "/api/v2" } }], route },
        ],
      },
      "spec.http[1].match[0]: never used, since spec.http[0].match[0] takes all paths under /api",
    ],
    [
      { hosts: ["10.0.0.1"], tls: [{ match: [{ sniHosts: ["10.0.0.1"] }], route }] },
      "spec.tls[0].match[0].sniHosts[0]: most clients send no IP address as server name",
    ],
  ];
  test.each(warnings)("warnings: %j", (spec, warning) => {
    expect(admit("VirtualService", spec)).toMatchObject({ errors: [], warnings: [warning] });
  });

  test("a longer prefix after a shorter one with more conditions is used", () => {
    const http = [
      { match: [{ uri: { prefix: "/api" }, headers: { canary: { exact: "1" } } }], route },
      { match: [{ uri: { prefix: "/api/v2" } }], route },
      { match: [{ uri: { prefix: "/api/v1" }, headers: { canary: { exact: "2" } } }], route },
    ];
    expect(admit("VirtualService", { hosts: ["reviews"], http })).toMatchObject({ errors: [], warnings: [] });
  });
});

const policy = (trafficPolicy: object): object => ({ host: "reviews", trafficPolicy });

describe("DestinationRule", () => {
  const cases: readonly Case[] = [
    [{}, "spec.host: Required value"],
    [{ host: "a b" }, 'spec.host: Invalid value: "a b": must be a DNS name, and its part "a b" cannot be'],
    [policy({}), "spec.trafficPolicy: Required value: at least one field"],
    [policy({ connectionPool: {} }), "spec.trafficPolicy.connectionPool: Required value: http or tcp"],
    [
      policy({ connectionPool: { tcp: { maxConnections: -1 } } }),
      "spec.trafficPolicy.connectionPool.tcp.maxConnections: Invalid value: -1: must be 0 or more",
    ],
    [
      policy({ connectionPool: { tcp: { idleTimeout: "-1s" } } }),
      'spec.trafficPolicy.connectionPool.tcp.idleTimeout: Invalid value: "-1s": must be a duration of whole milliseconds, 1ms or more, such as 250ms, 10s or 1h30m',
    ],
    [
      policy({ connectionPool: { http: { maxRetries: -1 } } }),
      "spec.trafficPolicy.connectionPool.http.maxRetries: Invalid value: -1: must be 0 or more",
    ],
    [
      policy({ connectionPool: { http: { h2UpgradePolicy: "UPGRADE", useClientProtocol: true } } }),
      "spec.trafficPolicy.connectionPool.http.useClientProtocol: Forbidden: h2UpgradePolicy is UPGRADE",
    ],
    [
      policy({ connectionPool: { http: { http2KeepAlive: { interval: "1s" } } } }),
      "spec.trafficPolicy.connectionPool.http.http2KeepAlive.timeout: Required value",
    ],
    [
      policy({ outlierDetection: { consecutiveLocalOriginFailures: 1 } }),
      "spec.trafficPolicy.outlierDetection.consecutiveLocalOriginFailures: Forbidden: splitExternalLocalOriginErrors must be true for this",
    ],
    [
      policy({ outlierDetection: { maxEjectionPercent: 101 } }),
      "spec.trafficPolicy.outlierDetection.maxEjectionPercent: Invalid value: 101: must be between 0 and 100",
    ],
    [
      policy({ outlierDetection: { outlierDetectionHttpErrorCodes: [99] } }),
      "spec.trafficPolicy.outlierDetection.outlierDetectionHttpErrorCodes[0]: Invalid value: 99: must be between 100 and 599",
    ],
    [
      policy({ loadBalancer: { simple: "RANDOM", consistentHash: { useSourceIp: true } } }),
      "spec.trafficPolicy.loadBalancer.consistentHash: Forbidden: only one of simple, consistentHash may be set, and simple is",
    ],
    [
      policy({ loadBalancer: { consistentHash: { httpCookie: { name: "" } } } }),
      "spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.name: Required value",
    ],
    [
      policy({
        loadBalancer: { consistentHash: { httpCookie: { name: "a", attributes: [{ name: "b" }, { name: "b" }] } } },
      }),
      'spec.trafficPolicy.loadBalancer.consistentHash.httpCookie.attributes[1].name: Duplicate value: "b"',
    ],
    [
      policy({ loadBalancer: { consistentHash: { useSourceIp: true, maglev: { tableSize: 4 } } } }),
      "spec.trafficPolicy.loadBalancer.consistentHash.maglev.tableSize: Invalid value: 4: must be a prime number under 5000011",
    ],
    [
      policy({ loadBalancer: { consistentHash: { useSourceIp: true, minimumRingSize: 1, ringHash: {} } } }),
      "spec.trafficPolicy.loadBalancer.consistentHash.minimumRingSize: Forbidden: only one of minimumRingSize, ringHash, maglev may be set",
    ],
    [
      policy({ loadBalancer: { warmup: { duration: "1s", aggression: 0 } } }),
      "spec.trafficPolicy.loadBalancer.warmup.aggression: Invalid value: 0: must be more than 0",
    ],
    [
      policy({ loadBalancer: { localityLbSetting: {}, zoneAwareLbSetting: {} } }),
      "spec.trafficPolicy.loadBalancer.zoneAwareLbSetting: Forbidden: only one of localityLbSetting, zoneAwareLbSetting may be set",
    ],
    [
      policy({ loadBalancer: { localityLbSetting: { distribute: [{ from: "a", to: { b: 99 } }] } } }),
      "spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to: Invalid value: 99: the shares must be 100 together",
    ],
    [
      policy({ loadBalancer: { localityLbSetting: { distribute: [{ from: "a/*/b", to: { b: 100 } }] } } }),
      'spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].from: Invalid value: "a/*/b": may have one * only, at its end',
    ],
    [
      policy({
        loadBalancer: {
          localityLbSetting: {
            distribute: [
              { from: "a/*", to: { b: 100 } },
              { from: "a/b", to: { b: 100 } },
            ],
          },
        },
      }),
      'spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[1].from: Invalid value: "a/b": must not overlap with a/*',
    ],
    [
      policy({ loadBalancer: { localityLbSetting: { distribute: [{ from: "a//b", to: { b: 100 } }] } } }),
      'spec.trafficPolicy.loadBalancer.localityLbSetting.distribute[0].from: Invalid value: "a//b": must be region, region/zone or region/zone/sub-zone, none of them empty',
    ],
    [
      policy({ outlierDetection: {}, loadBalancer: { localityLbSetting: { failover: [{ from: "a", to: "a" }] } } }),
      'spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0].to: Invalid value: "a": must be another region',
    ],
    [
      policy({ outlierDetection: {}, loadBalancer: { localityLbSetting: { failover: [{ from: "a", to: "b/c" }] } } }),
      'spec.trafficPolicy.loadBalancer.localityLbSetting.failover[0].to: Invalid value: "b/c": must be a region, without zone or wildcard',
    ],
    [
      policy({
        outlierDetection: {},
        loadBalancer: { zoneAwareLbSetting: { failoverPriority: ["topology.kubernetes.io/zone"] } },
      }),
      "spec.trafficPolicy.loadBalancer.zoneAwareLbSetting.failoverPriority[0]: Forbidden: regions and zones are considered by themselves",
    ],
    [
      policy({ tls: { mode: "MUTUAL", clientCertificate: "/a" } }),
      "spec.trafficPolicy.tls.privateKey: Required value: for mode MUTUAL",
    ],
    [
      policy({ tls: { mode: "SIMPLE", credentialName: "a", caCertificates: "/b" } }),
      "spec.trafficPolicy.tls.caCertificates: Forbidden: credentialName is set",
    ],
    [
      policy({ tls: { mode: "SIMPLE", insecureSkipVerify: true, subjectAltNames: ["a"] } }),
      "spec.trafficPolicy.tls.subjectAltNames: Forbidden: insecureSkipVerify is true",
    ],
    [
      policy({ tls: { mode: "SIMPLE", credentialName: "configmap://other/a" } }),
      `spec.trafficPolicy.tls.credentialName: Invalid value: "configmap://other/a": must be a ConfigMap of the object's own namespace`,
    ],
    [
      policy({ portLevelSettings: [{ tls: { mode: "SIMPLE" } }] }),
      "spec.trafficPolicy.portLevelSettings[0].port: Required value",
    ],
    [
      policy({ portLevelSettings: [{ port: { number: 80 } }] }),
      "spec.trafficPolicy.portLevelSettings[0]: Required value: at least one field beside port",
    ],
    [
      policy({ tunnel: { targetHost: "a.com", targetPort: 443 }, proxyProtocol: {} }),
      "spec.trafficPolicy.proxyProtocol: Forbidden: only one of tunnel, proxyProtocol may be set",
    ],
    [
      policy({ tunnel: { targetHost: "a.com", targetPort: 443, protocol: "GET" } }),
      'spec.trafficPolicy.tunnel.protocol: Unsupported value: "GET": supported values: "CONNECT", "POST"',
    ],
    [{ host: "reviews", subsets: [{ name: "v1" }, { name: "v1" }] }, 'spec.subsets[1].name: Duplicate value: "v1"'],
    [
      { host: "reviews", subsets: [{ name: "" }] },
      `spec.subsets[0].name: Invalid value: "": must be letters, digits and '-', with a letter or digit at both ends, at most 63 characters`,
    ],
    [
      { host: "reviews", subsets: [{ name: "v1", trafficPolicy: {} }] },
      "spec.subsets[0].trafficPolicy: Required value: at least one field",
    ],
    [
      { host: "reviews", workloadSelector: { matchLabels: { a: "*" } } },
      'spec.workloadSelector.matchLabels[a]: Invalid value: "*": wildcards are not supported',
    ],
    [
      { host: "reviews", workloadSelector: { matchLabels: { a: "b" } }, exportTo: ["*"] },
      `spec.exportTo: Invalid value: ["*"]: must be the object's own namespace alone where workloadSelector is set`,
    ],
  ];
  test.each(cases)("%j", (spec, error) => {
    expect(errorsOf("DestinationRule", spec)).toEqual([error]);
  });

  const warnings: readonly Case[] = [
    [
      policy({ outlierDetection: { consecutiveErrors: 5 } }),
      "spec.trafficPolicy.outlierDetection.consecutiveErrors: deprecated; use consecutiveGatewayErrors or consecutive5xxErrors",
    ],
    [
      policy({ loadBalancer: { consistentHash: { useSourceIp: true, minimumRingSize: 5 } } }),
      "spec.trafficPolicy.loadBalancer.consistentHash.minimumRingSize: deprecated; use ringHash",
    ],
    [
      policy({ loadBalancer: { localityLbSetting: { failover: [{ from: "a", to: "b" }] } } }),
      "spec.trafficPolicy.loadBalancer.localityLbSetting: failover needs outlierDetection, which is not set",
    ],
    [
      { host: "reviews", workloadSelector: {} },
      "spec.workloadSelector: without labels, all workloads of the namespace are selected",
    ],
  ];
  test.each(warnings)("warnings: %j", (spec, warning) => {
    expect(admit("DestinationRule", spec)).toMatchObject({ errors: [], warnings: [warning] });
  });
});

const http = { number: 80, name: "http", protocol: "HTTP" };
const https = { number: 443, name: "https", protocol: "HTTPS" };
const server = (one: object): object => ({ servers: [{ port: http, hosts: ["*"], ...one }] });

describe("Gateway", () => {
  const cases: readonly Case[] = [
    [{}, "spec.servers: Required value: at least one server"],
    [server({ hosts: [] }), "spec.servers[0].hosts: Required value: at least one host"],
    [
      server({ hosts: ["short"] }),
      'spec.servers[0].hosts[0]: Invalid value: "short": must be a full DNS name, not a short one',
    ],
    [
      server({ hosts: ["*a.com"] }),
      'spec.servers[0].hosts[0]: Invalid value: "*a.com": a wildcard must be a whole label',
    ],
    [
      server({ hosts: ["~/a.com"] }),
      `spec.servers[0].hosts[0]: Invalid value: "~/a.com": the part before '/' must be a namespace, '.' for the Gateway's own, or '*' for all`,
    ],
    [
      server({ port: { ...http, number: 0 } }),
      "spec.servers[0].port.number: Invalid value: 0: must be between 1 and 65535",
    ],
    [
      server({ port: { ...http, protocol: "SMTP" } }),
      'spec.servers[0].port.protocol: Unsupported value: "SMTP": supported values: "HTTP", "HTTP2", "GRPC", "GRPC-Web", "HTTPS", "TLS", "TCP", "MONGO", "REDIS", "MYSQL"',
    ],
    [
      server({ port: { ...http, targetPort: 80 } }),
      "spec.servers[0].port.targetPort: Forbidden: has no meaning in a Gateway",
    ],
    [server({ port: { ...http, name: "" } }), "spec.servers[0].port.name: Required value"],
    [
      server({ bind: "localhost" }),
      'spec.servers[0].bind: Invalid value: "localhost": must be an IP address or a Unix socket',
    ],
    [
      server({ bind: "unix://relative", port: { ...http, number: 0 } }),
      'spec.servers[0].bind: Invalid value: "unix://relative": must be unix:// and an absolute path of a file, or @ and a name',
    ],
    [server({ bind: "unix:///a" }), "spec.servers[0].port.number: Invalid value: 80: must be 0 for a Unix socket"],
    [
      {
        servers: [
          { port: http, hosts: ["*"] },
          { port: { ...http, number: 81 }, hosts: ["*"] },
        ],
      },
      'spec.servers[1].port.name: Duplicate value: "http"',
    ],
    [server({ port: https }), "spec.servers[0].tls: Required value: for protocol HTTPS"],
    [
      server({ tls: { mode: "SIMPLE", credentialName: "a" } }),
      "spec.servers[0].tls: Forbidden: protocol HTTP has no TLS; HTTP may have httpsRedirect only",
    ],
    [
      server({ port: https, tls: { mode: "SIMPLE", privateKey: "/k" } }),
      "spec.servers[0].tls.serverCertificate: Required value: for mode SIMPLE",
    ],
    [
      server({ port: https, tls: { mode: "MUTUAL", serverCertificate: "/c", privateKey: "/k" } }),
      "spec.servers[0].tls.caCertificates: Required value: for mode MUTUAL",
    ],
    [
      server({ port: https, tls: { mode: "SIMPLE", tlsCertificates: [{ serverCertificate: "/c" }] } }),
      "spec.servers[0].tls.tlsCertificates[0].privateKey: Required value",
    ],
    [
      server({ port: https, tls: { mode: "SIMPLE", credentialName: "a", credentialNames: ["b"] } }),
      "spec.servers[0].tls.credentialNames: Forbidden: only one of serverCertificate and privateKey, credentialName, credentialNames, tlsCertificates may be set",
    ],
    [
      server({ port: https, tls: { mode: "ISTIO_MUTUAL", credentialName: "a" } }),
      "spec.servers[0].tls.credentialName: Forbidden: mode ISTIO_MUTUAL uses the mesh's certificates",
    ],
    [
      server({ port: https, tls: { mode: "SIMPLE", serverCertificate: "/c", privateKey: "/k", caCrl: "/r" } }),
      "spec.servers[0].tls.caCrl: Forbidden: mode SIMPLE asks for no client certificate",
    ],
    [
      server({ port: https, tls: { mode: "SIMPLE", credentialNames: ["a", "b", "c"] } }),
      'spec.servers[0].tls.credentialNames: Invalid value: ["a","b","c"]: must have 2 items or fewer',
    ],
  ];
  test.each(cases)("%j", (spec, error) => {
    expect(errorsOf("Gateway", spec)).toEqual([error]);
  });

  test("a name has no points, since VirtualServices could not name it", () => {
    expect(errorsOf("Gateway", server({}), { name: "a.b" })).toEqual([
      `metadata.name: Invalid value: "a.b": must be letters, digits and '-', with a letter or digit at both ends, at most 63 characters`,
    ]);
  });

  const tls = { mode: "SIMPLE", credentialName: "a" };
  const warnings: readonly Case[] = [
    [
      server({ port: https, tls: { ...tls, minProtocolVersion: "TLSV1_0" } }),
      "spec.servers[0].tls.minProtocolVersion: versions under TLS 1.2 need cipherSuites too: the default suites do not fit",
    ],
    [
      server({ port: https, tls: { ...tls, cipherSuites: ["NULL"] } }),
      "spec.servers[0].tls.cipherSuites[0]: unknown cipher suite NULL is ignored",
    ],
    [
      server({ port: https, tls: { ...tls, cipherSuites: ["AES128-SHA", "AES128-SHA"] } }),
      "spec.servers[0].tls.cipherSuites[1]: repeated cipher suite AES128-SHA is ignored",
    ],
    [
      server({ port: https, tls: { mode: "PASSTHROUGH", credentialName: "a" } }),
      "spec.servers[0].tls: mode PASSTHROUGH uses no certificates; they are ignored",
    ],
    [
      server({ port: https, tls: { ...tls, httpsRedirect: true } }),
      "spec.servers[0].tls.httpsRedirect: only works for HTTP",
    ],
  ];
  test.each(warnings)("warnings: %j", (spec, warning) => {
    expect(admit("Gateway", spec)).toMatchObject({ errors: [], warnings: [warning] });
  });
});

const ports = [{ number: 80, name: "http", protocol: "HTTP" }];
const entry = (spec: object): object => ({ hosts: ["a.com"], ports, resolution: "STATIC", ...spec });

describe("ServiceEntry", () => {
  const cases: readonly Case[] = [
    [{}, "spec.hosts: Required value"],
    [entry({ hosts: [] }), "spec.hosts: Invalid value: []: must have 1 items or more"],
    [entry({ hosts: ["*"] }), 'spec.hosts[0]: Invalid value: "*": must not be every host'],
    [
      entry({ addresses: ["nowhere"] }),
      'spec.addresses[0]: Invalid value: "nowhere": must be an IP address or a network in CIDR form, such as 10.0.0.0/8',
    ],
    [
      entry({ resolution: "DNS", addresses: ["10.0.0.0/8"] }),
      'spec.addresses[0]: Invalid value: "10.0.0.0/8": must be an IP address, not a network, for resolution DNS',
    ],
    [
      entry({ ports: [{ ...ports[0], number: 0 }] }),
      "spec.ports[0].number: Invalid value: 0: must be between 1 and 65535",
    ],
    [entry({ ports: [...ports, { ...ports[0], number: 81 }] }), 'spec.ports[1].name: Duplicate value: "http"'],
    [entry({ ports: [...ports, { ...ports[0], name: "b" }] }), "spec.ports[1].number: Duplicate value: 80"],
    [
      entry({ ports: [{ ...ports[0], protocol: "smtp" }] }),
      'spec.ports[0].protocol: Unsupported value: "smtp": supported values: "HTTP", "HTTP2", "GRPC", "GRPC-Web", "HTTPS", "TLS", "TCP", "MONGO", "REDIS", "MYSQL"',
    ],
    [
      entry({ workloadSelector: { labels: { a: "b" } }, endpoints: [] }),
      "spec.endpoints: Forbidden: only one of workloadSelector, endpoints may be set",
    ],
    [entry({ endpoints: [{}] }), "spec.endpoints[0].address: Required value: address or network"],
    [
      entry({ endpoints: [{ address: "b.com" }] }),
      'spec.endpoints[0].address: Invalid value: "b.com": must be an IP address or a Unix socket',
    ],
    [
      entry({ endpoints: [{ address: "1.1.1.1", ports: { other: 1 } }] }),
      'spec.endpoints[0].ports[other]: Invalid value: "other": is no port of the service',
    ],
    [
      entry({ endpoints: [{ address: "unix:///a", ports: { http: 1 } }] }),
      "spec.endpoints[0].ports: Forbidden: a Unix socket has no ports",
    ],
    [
      entry({ resolution: "NONE", endpoints: [{ address: "1.1.1.1" }] }),
      "spec.endpoints: Forbidden: must be absent for resolution NONE",
    ],
    [
      entry({ resolution: "DNS", hosts: ["*.a.com"] }),
      'spec.hosts[0]: Invalid value: "*.a.com": must be a full DNS name where there are no endpoints, for resolution DNS',
    ],
    [
      entry({ resolution: "DNS_ROUND_ROBIN", endpoints: [{ address: "b.com" }, { address: "c.com" }] }),
      "spec.endpoints: Invalid value: 2: there must be at most one for resolution DNS_ROUND_ROBIN",
    ],
    [
      entry({ resolution: "DNS", endpoints: [{ address: "unix:///a" }] }),
      'spec.endpoints[0].address: Invalid value: "unix:///a": must be an IP address or a full DNS name',
    ],
    [
      entry({ resolution: "DYNAMIC_DNS" }),
      'spec.hosts[0]: Invalid value: "a.com": must begin with a wildcard for resolution DYNAMIC_DNS',
    ],
    [
      entry({ resolution: "DYNAMIC_DNS", hosts: ["*.a.com"], addresses: ["1.1.1.1"] }),
      "spec.addresses: Forbidden: must be absent for resolution DYNAMIC_DNS",
    ],
    [
      entry({ hosts: ["a.com", "b.com"], ports: [{ ...ports[0], protocol: "TCP" }] }),
      'spec.ports[0].protocol: Invalid value: "TCP": must be HTTP or TLS where there are several hosts',
    ],
    [entry({ exportTo: ["~", "other"] }), 'spec.exportTo[0]: Invalid value: "~": must be the only entry'],
    [
      entry({ workloadSelector: { labels: { a: "x*" } } }),
      'spec.workloadSelector.labels[a]: Invalid value: "x*": wildcards are not supported',
    ],
  ];
  test.each(cases)("%j", (spec, error) => {
    expect(errorsOf("ServiceEntry", spec)).toEqual([error]);
  });

  const warnings: readonly Case[] = [
    [
      entry({ workloadSelector: {} }),
      "spec.workloadSelector: without labels, all workloads of the namespace are selected",
    ],
    [entry({ hosts: ["*a.com"], resolution: "NONE" }), "spec.hosts[0]: a wildcard should be a whole label"],
    [
      entry({
        hosts: ["a.com", "b.com"],
        resolution: "DNS",
        addresses: ["1.1.1.1"],
        ports: [{ ...ports[0], protocol: "TLS" }],
      }),
      "spec.hosts: TCP connections to the addresses cannot be told apart by host; use one host",
    ],
    [
      entry({ endpoints: [{ network: "n1" }] }),
      "spec.endpoints[0].address: not set; the workload is reached through the network n1's gateway",
    ],
    [
      entry({ resolution: "NONE", ports: [...ports, { number: 81, name: "tcp", protocol: "TCP" }] }),
      "spec.ports[1]: connections that are plain TCP need addresses to be told apart",
    ],
    [
      entry({ resolution: "NONE", ports: [{ number: 81, name: "any" }] }),
      "spec.ports[0]: connections that are plain TCP need addresses to be told apart",
    ],
  ];
  test.each(warnings)("warnings: %j", (spec, warning) => {
    expect(admit("ServiceEntry", spec)).toMatchObject({ errors: [], warnings: [warning] });
  });

  test("plain TCP without addresses is warned of only where none will be given", () => {
    const tcp = { ports: [{ number: 81, name: "tcp", protocol: "TCP" }] };
    const off = { labels: { "networking.istio.io/enable-autoallocate-ip": "False" } };
    expect(admit("ServiceEntry", entry(tcp)).warnings).toEqual([]);
    expect(admit("ServiceEntry", entry({ ...tcp, addresses: ["1.1.1.1"] }), off).warnings).toEqual([]);
    expect(admit("ServiceEntry", entry(tcp), off).warnings).toHaveLength(1);
  });
});

const ingress = (listener: object): object => ({ ingress: [{ port: { number: 80, protocol: "HTTP" }, ...listener }] });
const egress = (...egress: object[]): object => ({ egress });

describe("Sidecar", () => {
  const cases: readonly Case[] = [
    [{}, "spec: Required value: ingress, egress, inboundConnectionPool or outboundTrafficPolicy"],
    [
      { workloadSelector: { labels: { a: "*" } }, ...egress({ hosts: ["./*"] }) },
      'spec.workloadSelector.labels[a]: Invalid value: "*": wildcards are not supported',
    ],
    [ingress({ port: {} }), "spec.ingress[0].port.number: Invalid value: 0: must be between 1 and 65535"],
    [
      ingress({ port: { number: 80, protocol: "x" } }),
      'spec.ingress[0].port.protocol: Unsupported value: "x": supported values: "HTTP", "HTTP2", "GRPC", "GRPC-Web", "HTTPS", "TLS", "TCP", "MONGO", "REDIS", "MYSQL"',
    ],
    [ingress({ bind: "a" }), 'spec.ingress[0].bind: Invalid value: "a": must be an IP address'],
    [
      ingress({ defaultEndpoint: "10.0.0.1:80" }),
      'spec.ingress[0].defaultEndpoint: Invalid value: "10.0.0.1:80": must be 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix:// and a path',
    ],
    [
      ingress({ defaultEndpoint: "127.0.0.1" }),
      'spec.ingress[0].defaultEndpoint: Invalid value: "127.0.0.1": must be 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix:// and a path',
    ],
    [
      { ingress: [{ port: { number: 80 } }, { port: { number: 80 } }] },
      "spec.ingress[1].port.number: Duplicate value: 80",
    ],
    [
      ingress({ tls: { mode: "SIMPLE", serverCertificate: "/c", privateKey: "/k" } }),
      "spec.ingress[0].tls: Forbidden: the port's protocol must be HTTPS or TLS",
    ],
    [
      ingress({ port: { number: 80, protocol: "TLS" }, tls: { mode: "SIMPLE", credentialName: "a" } }),
      "spec.ingress[0].tls.credentialName: Forbidden: is for Gateways only",
    ],
    [ingress({ connectionPool: {} }), "spec.ingress[0].connectionPool: Required value: http or tcp"],
    [egress({ hosts: [] }), "spec.egress[0].hosts: Required value: at least one host"],
    [egress({ hosts: ["a.com"] }), 'spec.egress[0].hosts[0]: Invalid value: "a.com": must be namespace/name'],
    [
      egress({ hosts: ["shop/short"] }),
      'spec.egress[0].hosts[0]: Invalid value: "shop/short": must be a full DNS name, not a short one',
    ],
    [
      egress({ hosts: ["a b/*"] }),
      `spec.egress[0].hosts[0]: Invalid value: "a b/*": the part before '/' must be a namespace, '.', '*' or '~'`,
    ],
    [
      egress({ hosts: ["./*"] }, { port: { number: 80 }, hosts: ["./*"] }),
      "spec.egress[0].port: Required value: only the last listener may be for all other ports",
    ],
    [
      egress({ port: { number: 80 }, hosts: ["./*"] }, { port: { number: 80 }, hosts: ["./*"] }),
      "spec.egress[1].port.number: Duplicate value: 80",
    ],
    [
      egress({ port: { number: 0 }, bind: "127.0.0.1", hosts: ["./*"] }),
      `spec.egress[0].bind: Invalid value: "127.0.0.1": must be a Unix socket where the port's number is 0`,
    ],
    [
      egress({ port: { number: 0 }, bind: "unix:///a", captureMode: "IPTABLES", hosts: ["./*"] }),
      "spec.egress[0].captureMode: Forbidden: a Unix socket cannot be captured",
    ],
    [
      { outboundTrafficPolicy: { mode: "REGISTRY_ONLY", egressProxy: { host: "a.com" } } },
      "spec.outboundTrafficPolicy.egressProxy: Forbidden: mode must be ALLOW_ANY for this",
    ],
    [
      { outboundTrafficPolicy: { mode: "ALLOW_ANY", egressProxy: { host: "a.com" } } },
      "spec.outboundTrafficPolicy.egressProxy.port: Required value",
    ],
  ];
  test.each(cases)("%j", (spec, error) => {
    expect(errorsOf("Sidecar", spec)).toEqual([error]);
  });

  const warnings: readonly Case[] = [
    [
      { workloadSelector: {}, ...egress({ hosts: ["./*"] }) },
      "spec.workloadSelector: without labels, all workloads of the namespace are selected",
    ],
    [
      egress({ hosts: ["./a.com", "shop/*"] }),
      "spec.egress[0].hosts[1]: shop/* is there already, alone or as part of another",
    ],
    [
      egress({ hosts: ["*/*", "shop/a.com"] }),
      "spec.egress[0].hosts: */* holds everything; the other hosts do nothing",
    ],
    [
      ingress({ port: { number: 80, protocol: "TCP" }, connectionPool: { http: {} } }),
      "spec.ingress[0].connectionPool.http: does nothing, since the port's protocol is not HTTP",
    ],
  ];
  test.each(warnings)("warnings: %j", (spec, warning) => {
    expect(admit("Sidecar", spec)).toMatchObject({ errors: [], warnings: [warning] });
  });
});

describe("WorkloadEntry and WorkloadGroup", () => {
  const entries: readonly Case[] = [
    [{}, "spec.address: Required value: address or network"],
    [{ address: "a_b" }, 'spec.address: Invalid value: "a_b": must be an IP address or a full DNS name'],
    [
      { address: "unix://a" },
      'spec.address: Invalid value: "unix://a": must be unix:// and an absolute path of a file, or @ and a name',
    ],
    [
      { address: "1.1.1.1", ports: { "a.b": 1 } },
      `spec.ports[a.b]: Invalid value: "a.b": must be letters, digits and '-', with a letter or digit at both ends, at most 63 characters`,
    ],
    [{ address: "1.1.1.1", ports: { a: 0 } }, "spec.ports[a]: Invalid value: 0: must be between 1 and 65535"],
    [
      { address: "1.1.1.1", labels: { "a b": "c" } },
      `spec.labels: Invalid value: "a b": the name must be letters, digits, '-', '_' and '.', with a letter or digit at both ends, at most 63 characters`,
    ],
  ];
  test.each(entries)("WorkloadEntry %j", (spec, error) => {
    expect(errorsOf("WorkloadEntry", spec)).toEqual([error]);
  });

  test("a workload without an address is warned of", () => {
    expect(admit("WorkloadEntry", { network: "n1" })).toMatchObject({
      errors: [],
      warnings: ["spec.address: not set; the workload is reached through the network n1's gateway"],
    });
  });

  const groups: readonly Case[] = [
    [{}, "spec.template: Required value"],
    [
      { template: {}, metadata: { labels: { a: "b c" } } },
      `spec.metadata.labels[a]: Invalid value: "b c": must be letters, digits, '-', '_' and '.', with a letter or digit at both ends`,
    ],
    [{ template: { ports: { http: 0 } } }, "spec.template.ports[http]: Invalid value: 0: must be between 1 and 65535"],
    [{ template: {}, probe: {} }, "spec.probe: Required value: httpGet, tcpSocket, exec or grpc"],
    [{ template: {}, probe: { exec: { command: [] } } }, "spec.probe.exec.command: Required value"],
    [
      { template: {}, probe: { tcpSocket: { port: 0 } } },
      "spec.probe.tcpSocket.port: Invalid value: 0: must be between 1 and 65535",
    ],
    [
      { template: {}, probe: { httpGet: { port: 1, scheme: "ftp" } } },
      'spec.probe.httpGet.scheme: Unsupported value: "ftp": supported values: "HTTP", "HTTPS"',
    ],
    [
      { template: {}, probe: { httpGet: { port: 1, httpHeaders: [{ value: "a" }] } } },
      "spec.probe.httpGet.httpHeaders[0].name: Required value",
    ],
    [
      { template: {}, probe: { periodSeconds: -1, grpc: { port: 1 } } },
      "spec.probe.periodSeconds: Invalid value: -1: must be 0 or more",
    ],
    [
      { template: {}, probe: { grpc: { port: 1 }, exec: { command: ["a"] } } },
      "spec.probe.grpc: Forbidden: only one of httpGet, tcpSocket, exec, grpc may be set, and exec is",
    ],
  ];
  test.each(groups)("WorkloadGroup %j", (spec, error) => {
    expect(errorsOf("WorkloadGroup", spec)).toEqual([error]);
  });
});

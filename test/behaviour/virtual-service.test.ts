/**
 * Requests of a workload behind a sidecar, routed by VirtualServices. Names of groups are headings of Istio's reference
 * "Virtual Service".
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { Call, Result } from "./caller.ts";
import { inParallel, countBy } from "./many.ts";
import { World } from "./world.ts";

/** A VirtualService of the sidecars for one service of the namespace `shop`. */
function routes(host: string, http: string): string {
  return `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host} }
spec:
  hosts: [${host}]
  http:
${http.replaceAll(/^/gm, "    ")}`;
}

/** Routes that answer with their own names, so that it shows which one matched. */
function named(matches: Readonly<Record<string, string>>): string {
  const answers = Object.entries(matches).map(
    ([name, match]) => `- { match: [${match}], directResponse: { status: 200, body: { string: ${name} } } }`,
  );
  return [...answers, "- { directResponse: { status: 200, body: { string: none } } }"].join("\n");
}

const versions = (service: string): string => `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${service} }
spec:
  host: ${service}
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }`;

const istio = [
  routes(
    "matches",
    named({
      exact: "{ uri: { exact: /exact } }",
      prefix: "{ uri: { prefix: /prefix/ } }",
      regex: "{ uri: { regex: '/regex/[0-9]+' } }",
      anycase: "{ uri: { prefix: /AnyCase }, ignoreUriCase: true }",
      scheme: "{ uri: { prefix: /scheme }, scheme: { exact: http } }",
      schemeprefix: "{ uri: { prefix: /parts }, scheme: { prefix: ht }, method: { prefix: PA } }",
      schemeregex: "{ uri: { prefix: /parts }, scheme: { regex: 'https?' }, method: { regex: 'DEL.*' } }",
      otherscheme: "{ uri: { prefix: /parts }, scheme: { exact: https } }",
      method: "{ uri: { prefix: /method }, method: { exact: PUT } }",
      authorityexact: "{ uri: { prefix: /authority }, authority: { exact: 'matches.shop.svc:9080' } }",
      authorityregex: "{ uri: { prefix: /authority }, authority: { regex: '[a-z.]+local(:[0-9]+)?' } }",
      authority: "{ uri: { prefix: /authority }, authority: { prefix: matches.shop } }",
      anycaseexact: "{ uri: { exact: /ExactCase }, ignoreUriCase: true }",
      anycaseregex: "{ uri: { regex: '/case/[a-z]+' }, ignoreUriCase: true }",
      header: "{ uri: { prefix: /header }, headers: { x-tier: { exact: gold } } }",
      headerprefix: "{ uri: { prefix: /header }, headers: { x-tier: { prefix: sil } } }",
      headerregex: "{ uri: { prefix: /header }, headers: { x-tier: { regex: 'br[a-z]+' } } }",
      headerpresent: "{ uri: { prefix: /present }, headers: { x-tier: {} } }",
      without: "{ uri: { prefix: /without }, withoutHeaders: { x-tier: { exact: gold } } }",
      absent: "{ uri: { prefix: /absent }, withoutHeaders: { x-tier: {} } }",
      withoutany: "{ uri: { prefix: /nothing }, withoutHeaders: { x-tier: { regex: '*' } } }",
      withoutprefix: "{ uri: { prefix: /not-prefix }, withoutHeaders: { x-tier: { prefix: sil } } }",
      withoutregex: "{ uri: { prefix: /not-regex }, withoutHeaders: { x-tier: { regex: 'br[a-z]+' } } }",
      withouttwo: "{ uri: { prefix: /not-two }, withoutHeaders: { x-tier: { exact: gold }, x-test: {} } }",
      headertwo: "{ uri: { prefix: /two }, headers: { x-tier: { exact: gold }, x-test: {} } }",
      query: "{ uri: { prefix: /query }, queryParams: { page: { exact: '7' } } }",
      queryregex: "{ uri: { prefix: /query }, queryParams: { page: { regex: 'a+' } } }",
      queryprefix: "{ uri: { prefix: /query }, queryParams: { page: { prefix: b } } }",
      querypresent: "{ uri: { prefix: /query }, queryParams: { all: {} } }",
      port: "{ uri: { prefix: /port }, port: 9081 }",
      otherlabels: "{ uri: { prefix: /source }, sourceLabels: { app: other } }",
      morelabels: "{ uri: { prefix: /source }, sourceLabels: { app: caller, tier: other } }",
      labels: "{ uri: { prefix: /source }, sourceLabels: { app: caller } }",
      othernamespace: "{ uri: { prefix: /namespace }, sourceNamespace: bank }",
      namespace: "{ uri: { prefix: /namespace }, sourceNamespace: shop }",
      gateway: "{ uri: { prefix: /gateway }, gateways: [edge/edge] }",
      mesh: "{ uri: { prefix: /gateway }, gateways: [mesh] }",
      both: "{ uri: { prefix: /both }, method: { exact: POST }, headers: { x-tier: { exact: gold } } }",
      either: "{ uri: { exact: /either/1 } }, { uri: { exact: /either/2 } }",
      first: "{ uri: { prefix: /order } }",
      second: "{ uri: { prefix: /order/second } }",
    }),
  ),
  versions("weights"),
  routes(
    "weights",
    `- route:
    - { destination: { host: weights, subset: v1 }, weight: 90, headers: { response: { set: { x-share: large } } } }
    - { destination: { host: weights, subset: v2 }, weight: 10, headers: { request: { add: { x-share: small } } } }
    - { destination: { host: weights, subset: v3 }, weight: 0 }`,
  ),
  routes(
    "rewrites",
    `- match: [{ uri: { prefix: /old/ } }]
  rewrite: { uri: /new/ }
  route: [{ destination: { host: rewrites } }]
- match: [{ uri: { exact: /one } }]
  rewrite: { uri: /two }
  route: [{ destination: { host: rewrites } }]
- match: [{ uri: { prefix: /regex } }]
  rewrite: { uriRegexRewrite: { match: '^/regex/([^/]+)/(.*)$', rewrite: '/\\2/of/\\1' } }
  route: [{ destination: { host: rewrites } }]
- match: [{ uri: { prefix: /authority } }]
  rewrite: { authority: elsewhere.example.com }
  route: [{ destination: { host: rewrites } }]`,
  ),
  routes(
    "redirects",
    `- match: [{ uri: { exact: /uri } }]
  redirect: { uri: /moved, authority: www.example.com }
- match: [{ uri: { exact: /code } }]
  redirect: { uri: /moved, redirectCode: 307 }
- match: [{ uri: { exact: /scheme } }]
  redirect: { scheme: https }
- match: [{ uri: { exact: /port } }]
  redirect: { uri: /moved, port: 8443 }
- match: [{ uri: { exact: /request-port } }]
  redirect: { authority: www.example.com, derivePort: FROM_REQUEST_PORT }
- match: [{ uri: { exact: /own-port } }]
  redirect: { scheme: https, port: 443 }
- match: [{ uri: { prefix: /part/ } }]
  redirect: { prefixRewrite: /whole/ }`,
  ),
  routes(
    "answers",
    `- match: [{ uri: { exact: /text } }]
  directResponse: { status: 503, body: { string: closed } }
- match: [{ uri: { exact: /bytes } }]
  directResponse: { status: 200, body: { bytes: aGVsbG8= } }
- match: [{ uri: { exact: /large } }]
  directResponse: { status: 200, body: { string: "${"0123456789".repeat(1000)}" } }
- directResponse: { status: 204 }`,
  ),
  routes(
    "told",
    `- name: orders
  match: [{ name: first, uri: { prefix: /first }, statPrefix: first-orders }, { uri: { prefix: /second } }]
  headers: { response: { set: { x-route: "%ROUTE_NAME%" } } }
  route: [{ destination: { host: told } }]
- match: [{ name: lone, uri: { prefix: /lone } }]
  headers: { response: { set: { x-route: "%ROUTE_NAME%" } } }
  route: [{ destination: { host: told } }]`,
  ),
  routes("timeouts", "- { timeout: 300ms, route: [{ destination: { host: timeouts } }] }"),
  routes(
    "retries",
    `- match: [{ uri: { prefix: /twice } }]
  retries: { attempts: 2, retryOn: 5xx, backoff: 10ms }
  route: [{ destination: { host: retries } }]
- match: [{ uri: { prefix: /never } }]
  retries: { attempts: 0 }
  route: [{ destination: { host: retries } }]
- match: [{ uri: { prefix: /slowly } }]
  retries: { attempts: 2, retryOn: 5xx, backoff: 300ms }
  route: [{ destination: { host: retries } }]
- match: [{ uri: { prefix: /conflict } }]
  retries: { attempts: 3, retryOn: "409,reset", backoff: 10ms }
  route: [{ destination: { host: retries } }]
- match: [{ uri: { prefix: /each } }]
  retries: { attempts: 2, perTryTimeout: 200ms, retryOn: gateway-error, backoff: 10ms }
  route: [{ destination: { host: retries } }]
- route: [{ destination: { host: retries } }]`,
  ),
  routes(
    "fallible",
    `- match: [{ uri: { prefix: /another } }]
  retries: { attempts: 1, retryOn: 5xx, backoff: 1ms }
  route: [{ destination: { host: fallible } }]
- match: [{ uri: { prefix: /any } }]
  retries: { attempts: 1, retryOn: 5xx, backoff: 1ms, retryIgnorePreviousHosts: false }
  route: [{ destination: { host: fallible } }]`,
  ),
  `
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: places }
spec:
  hosts: [places.example.com]
  resolution: STATIC
  ports: [{ number: 80, name: http, protocol: HTTP, targetPort: 8080 }]
  endpoints: [{ address: "@near-v1-0", labels: { tier: test } }, { address: "@far-v1-0", labels: { tier: other } }]
---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: places }
spec:
  host: places.example.com
  trafficPolicy:
    loadBalancer: { localityLbSetting: { failoverPriority: [tier] } }
    outlierDetection: { consecutive5xxErrors: 1000 }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: places }
spec:
  hosts: [places.example.com]
  http:
    - match: [{ uri: { prefix: /remote } }]
      retries: { attempts: 4, retryOn: 5xx, backoff: 1ms, retryIgnorePreviousHosts: false, retryRemoteLocalities: true }
      route: [{ destination: { host: places.example.com } }]
    - retries: { attempts: 4, retryOn: 5xx, backoff: 1ms, retryIgnorePreviousHosts: false }
      route: [{ destination: { host: places.example.com } }]`,
  routes(
    "faults",
    `- match: [{ uri: { prefix: /abort } }]
  fault: { abort: { httpStatus: 418, percentage: { value: 100 } } }
  route: [{ destination: { host: faults } }]
- match: [{ uri: { prefix: /some } }]
  fault: { abort: { httpStatus: 503, percentage: { value: 30 } } }
  route: [{ destination: { host: faults } }]
- match: [{ uri: { prefix: /none } }]
  fault: { abort: { httpStatus: 503 } }
  route: [{ destination: { host: faults } }]
- match: [{ uri: { prefix: /delay } }]
  fault: { delay: { fixedDelay: 300ms, percentage: { value: 100 } } }
  route: [{ destination: { host: faults } }]
- match: [{ uri: { prefix: /slow-some } }]
  fault: { delay: { fixedDelay: 150ms, percentage: { value: 25 } } }
  route: [{ destination: { host: faults } }]
- match: [{ uri: { prefix: /whole-some } }]
  fault: { delay: { fixedDelay: 150ms, percent: 25 } }
  route: [{ destination: { host: faults } }]
- match: [{ uri: { prefix: /grpc } }]
  fault: { abort: { grpcStatus: UNAVAILABLE, percentage: { value: 100 } } }
  route: [{ destination: { host: faults } }]`,
  ),
  routes(
    "mirrored",
    `- match: [{ uri: { prefix: /half } }]
  route: [{ destination: { host: mirrored } }]
  mirror: { host: shadow }
  mirrorPercentage: { value: 50 }
- match: [{ uri: { prefix: /whole-half } }]
  route: [{ destination: { host: mirrored } }]
  mirror: { host: shadow }
  mirrorPercent: 50
- match: [{ uri: { prefix: /old-half } }]
  route: [{ destination: { host: mirrored } }]
  mirror: { host: shadow }
  mirror_percent: 50
- match: [{ uri: { prefix: /several } }]
  route: [{ destination: { host: mirrored } }]
  mirrors:
    - { destination: { host: shadow } }
    - { destination: { host: second-shadow } }
    - { destination: { host: third-shadow }, percentage: { value: 0 } }
- route: [{ destination: { host: mirrored } }]
  mirror: { host: shadow }`,
  ),
  routes(
    "headers",
    `- match: [{ uri: { prefix: /host } }]
  headers: { request: { set: { Host: other.example.com } } }
  route: [{ destination: { host: headers } }]
- headers:
    request: { set: { x-set: new }, add: { x-add: more }, remove: [x-remove] }
    response: { set: { x-answer-set: new }, add: { x-answer-add: more }, remove: [x-answer-remove] }
  route: [{ destination: { host: headers } }]`,
  ),
  routes(
    "shared",
    `- match: [{ uri: { prefix: /ignore } }]
  corsPolicy: { allowOrigins: [{ exact: "https://page.example.com" }], unmatchedPreflights: IGNORE }
  route: [{ destination: { host: shared } }]
- match: [{ uri: { prefix: /old } }]
  corsPolicy: { allowOrigin: ["https://old.example.com"] }
  route: [{ destination: { host: shared } }]
- corsPolicy:
    allowOrigins: [{ exact: "https://page.example.com" }, { regex: "https://[a-z]+\\\\.example\\\\.org" }]
    allowMethods: [GET, PUT]
    allowHeaders: [x-token]
    exposeHeaders: [x-total]
    maxAge: 90s
    allowCredentials: true
  route: [{ destination: { host: shared } }]`,
  ),
  `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: delegating }
spec:
  hosts: [delegating]
  http:
    - match: [{ uri: { prefix: /team } }]
      headers: { response: { set: { x-root: "yes" } } }
      delegate: { name: team-routes, namespace: bank }
    - directResponse: { status: 200, body: { string: root } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: team-routes, namespace: bank }
spec:
  http:
    - { match: [{ uri: { prefix: /team/a } }], directResponse: { status: 200, body: { string: team-a } } }
    - { match: [{ uri: { prefix: /other } }], directResponse: { status: 200, body: { string: outside } } }`,
  routes("elder", "- { directResponse: { status: 200, body: { string: first } } }"),
  routes("elder", "- { directResponse: { status: 200, body: { string: second } } }").replace(
    "name: elder",
    "name: a-younger-one",
  ),
  `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: wide }
spec:
  hosts: ["*.wild.svc.cluster.local"]
  http: [{ directResponse: { status: 200, body: { string: wildcard } } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: narrow, namespace: wild }
spec:
  hosts: [named]
  http: [{ route: [{ destination: { host: named } }] }]`,
  routes("unknown-target", "- { route: [{ destination: { host: nobody } }] }"),
  routes("moving", "- { route: [{ destination: { host: weights, subset: v1 } }] }"),
  `
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: outside-hosts }
spec:
  hosts: [www.example.com, "*.wild.example.com"]
  http: [{ route: [{ destination: { host: web } }] }]`,
];

const twoPorts = [
  { name: "http", port: 9080, to: "http" },
  { name: "http-admin", port: 9081, to: "http" },
] as const;

let world: World;

beforeAll(async () => {
  world = await World.start("v", {
    istio,
    proxies: [{ name: "caller", labels: { app: "caller", tier: "test" } }],
    services: [
      { name: "matches", ports: twoPorts },
      { name: "weights", pods: { v1: 1, v2: 1 } },
      { name: "web", ports: [{ name: "http", port: 80, to: "http" }] },
      ...["rewrites", "redirects", "answers", "timeouts", "faults", "mirrored", "shadow", "second-shadow"].map(
        (name) => ({ name }),
      ),
      ...["third-shadow", "headers", "shared", "delegating", "elder", "unknown-target", "moving"].map((name) => ({
        name,
      })),
      { name: "retries" },
      { name: "fallible", pods: { v1: 1, v2: 1 } },
      ...["told", "near", "far"].map((name) => ({ name })),
      ...["named", "unnamed"].map((name) => ({ name, namespace: "wild" })),
    ],
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
});

function send(url: string, call?: Call): Promise<Result> {
  return world.caller("caller").send(`http://${url}`, call);
}

async function seenAt(url: string, call?: Call): Promise<NonNullable<Result["seen"]>> {
  const { status, text, seen } = await send(url, call);
  if (!seen) throw new Error(`no backend answered: ${status} ${text}`);
  return seen;
}

/** How often the Pods of a service were asked for a path. */
function asked(pod: string, path: string): number {
  return world.backends.seen.filter((each) => each.pod.startsWith(pod) && each.path === path).length;
}

describe("HTTPMatchRequest", () => {
  const gold = { headers: { "x-tier": "gold" } };
  test.each<readonly [field: string, url: string, call: Call, expected: string]>([
    ["uri exact", "matches:9080/exact", {}, "exact"],
    ["uri exact is the whole path", "matches:9080/exact/more", {}, "none"],
    ["uri exact leaves the query aside", "matches:9080/exact?a=b", {}, "exact"],
    ["uri prefix", "matches:9080/prefix/more", {}, "prefix"],
    ["uri regex", "matches:9080/regex/42", {}, "regex"],
    ["uri regex is the whole path", "matches:9080/regex/42/more", {}, "none"],
    ["uri in another case", "matches:9080/EXACT", {}, "none"],
    ["ignoreUriCase", "matches:9080/aNYcASE/more", {}, "anycase"],
    ["ignoreUriCase of an exact path", "matches:9080/eXACTcASE", {}, "anycaseexact"],
    // Envoy leaves case in regular expressions to the expressions themselves.
    ["ignoreUriCase of an expression", "matches:9080/case/ABC", {}, "none"],
    ["scheme", "matches:9080/scheme", {}, "scheme"],
    ["scheme prefix and method prefix", "matches:9080/parts", { method: "PATCH" }, "schemeprefix"],
    ["scheme regex and method regex", "matches:9080/parts", { method: "DELETE" }, "schemeregex"],
    ["another scheme", "matches:9080/parts", {}, "none"],
    ["method", "matches:9080/method", { method: "PUT" }, "method"],
    ["another method", "matches:9080/method", { method: "POST" }, "none"],
    ["authority", "matches.shop:9080/authority", {}, "authority"],
    ["authority exact", "matches.shop.svc:9080/authority", {}, "authorityexact"],
    ["authority regex", "matches.shop.svc.cluster.local:9080/authority", {}, "authorityregex"],
    ["another authority", "matches:9080/authority", {}, "none"],
    ["header exact", "matches:9080/header", gold, "header"],
    ["header prefix", "matches:9080/header", { headers: { "x-tier": "silver" } }, "headerprefix"],
    ["header regex", "matches:9080/header", { headers: { "x-tier": "bronze" } }, "headerregex"],
    ["no header", "matches:9080/header", {}, "none"],
    ["header present", "matches:9080/present", { headers: { "x-tier": "any" } }, "headerpresent"],
    ["header not present", "matches:9080/present", {}, "none"],
    ["withoutHeaders with another value", "matches:9080/without", { headers: { "x-tier": "silver" } }, "without"],
    ["withoutHeaders with the value", "matches:9080/without", gold, "none"],
    ["withoutHeaders without the header", "matches:9080/without", {}, "without"],
    ["withoutHeaders of any value, absent", "matches:9080/absent", {}, "absent"],
    ["withoutHeaders of any value, present", "matches:9080/absent", gold, "none"],
    ["withoutHeaders with *, absent", "matches:9080/nothing", {}, "withoutany"],
    ["withoutHeaders with *, present", "matches:9080/nothing", gold, "none"],
    ["withoutHeaders with a prefix, other", "matches:9080/not-prefix", gold, "withoutprefix"],
    ["withoutHeaders with a prefix, the same", "matches:9080/not-prefix", { headers: { "x-tier": "silver" } }, "none"],
    ["withoutHeaders with a prefix, absent", "matches:9080/not-prefix", {}, "withoutprefix"],
    ["withoutHeaders with an expression, other", "matches:9080/not-regex", gold, "withoutregex"],
    [
      "withoutHeaders with an expression, the same",
      "matches:9080/not-regex",
      { headers: { "x-tier": "bronze" } },
      "none",
    ],
    ["two withoutHeaders, neither there", "matches:9080/not-two", {}, "withouttwo"],
    ["two withoutHeaders, one there", "matches:9080/not-two", { headers: { "x-test": "1" } }, "none"],
    ["two headers", "matches:9080/two", { headers: { "x-tier": "gold", "x-test": "1" } }, "headertwo"],
    ["one of two headers", "matches:9080/two", gold, "none"],
    ["header exact is the whole value", "matches:9080/header", { headers: { "x-tier": "golden" } }, "none"],
    ["header regex is the whole value", "matches:9080/header", { headers: { "x-tier": "bronze9" } }, "none"],
    ["query exact", "matches:9080/query?page=7", {}, "query"],
    ["query prefix", "matches:9080/query?page=before", {}, "queryprefix"],
    ["query regex is the whole value", "matches:9080/query?page=aab", {}, "none"],
    ["query regex", "matches:9080/query?page=aaa", {}, "queryregex"],
    ["query present", "matches:9080/query?all=", {}, "querypresent"],
    ["no query", "matches:9080/query", {}, "none"],
    ["port", "matches:9081/port", {}, "port"],
    ["another port", "matches:9080/port", {}, "none"],
    ["sourceLabels", "matches:9080/source", {}, "labels"],
    ["sourceNamespace", "matches:9080/namespace", {}, "namespace"],
    ["gateways", "matches:9080/gateway", {}, "mesh"],
    ["all conditions of a match", "matches:9080/both", { ...gold, method: "POST" }, "both"],
    ["some conditions of a match", "matches:9080/both", gold, "none"],
    ["one of several matches", "matches:9080/either/2", {}, "either"],
    ["the first of two routes that match", "matches:9080/order/second", {}, "first"],
  ])("%s", async (_field, url, call, expected) => {
    expect(await send(url, call)).toMatchObject({ status: 200, text: expected });
  });
});

describe("HTTPRouteDestination", () => {
  test("weight shares requests, and headers are the destination's own", async () => {
    const results = await inParallel(1000, 8, () => send("weights:9080/"));
    const byPod = countBy(results, ({ seen }) => seen?.pod);
    expect(new Set(byPod.keys())).toEqual(new Set(["weights-v1-0", "weights-v2-0"]));
    // 100 are expected; five standard deviations are 47.
    expect(byPod.get("weights-v2-0")).toBeGreaterThan(53);
    expect(byPod.get("weights-v2-0")).toBeLessThan(147);
    for (const { seen, headers } of results) {
      const small = seen?.pod === "weights-v2-0";
      expect(headers["x-share"]).toBe(small ? undefined : "large");
      expect(seen?.headers["x-share"]).toBe(small ? "small" : undefined);
    }
  });

  test("a changed weight moves requests, and none fails meanwhile", async () => {
    const before = await seenAt("moving:9080/");
    expect(before.pod).toBe("weights-v1-0");
    world.apply(routes("moving", "- { route: [{ destination: { host: weights, subset: v2 } }] }"));
    for (let tries = 0; tries < 500; tries += 1) {
      const { status, seen } = await send("moving:9080/");
      expect(status).toBe(200);
      if (seen?.pod === "weights-v2-0") return;
    }
    expect.unreachable("the change never arrived");
  });

  test("a destination that does not exist answers 503", async () => {
    expect(await send("unknown-target:9080/")).toMatchObject({ status: 503, seen: undefined });
  });
});

describe("HTTPRoute name", () => {
  test.each([
    ["and the name of the match", "/first", "orders.first"],
    ["where the match has none", "/second", "orders"],
    ["of the match alone", "/lone", ".lone"],
  ])("%s", async (_what, path, name) => {
    expect((await send(`told:9080${path}`)).headers["x-route"]).toBe(name);
  });

  test("HTTPMatchRequest statPrefix counts the requests of a match apart", async () => {
    const counted = () => world.envoy("caller").sumOf(/^vhost\..*\.route\.first-orders\.upstream_rq_completed$/);
    const before = await counted();
    await inParallel(3, 1, () => send("told:9080/first/counted"));
    await send("told:9080/second");
    expect((await counted()) - before).toBe(3);
  });
});

describe("HTTPRewrite", () => {
  test.each([
    ["uri of a prefix", "/old/a/b?c=d", "/new/a/b?c=d"],
    ["uri of an exact match", "/one?c=d", "/two?c=d"],
    ["uriRegexRewrite", "/regex/shop/page/1", "/page/1/of/shop"],
  ])("%s", async (_field, path, expected) => {
    expect((await seenAt(`rewrites:9080${path}`)).path).toBe(expected);
  });

  test("authority", async () => {
    expect((await seenAt("rewrites:9080/authority")).host).toBe("elsewhere.example.com");
  });
});

describe("HTTPRedirect", () => {
  test.each([
    ["uri and authority", "/uri", 301, "http://www.example.com/moved"],
    ["redirectCode", "/code", 307, "http://redirects:9080/moved"],
    ["scheme", "/scheme", 301, "https://redirects:9080/scheme"],
    ["port", "/port", 301, "http://redirects:8443/moved"],
    ["derivePort", "/request-port", 301, "http://www.example.com:9080/request-port"],
    ["prefixRewrite", "/part/a", 301, "http://redirects:9080/whole/a"],
  ])("%s", async (_field, path, status, location) => {
    const { headers, ...result } = await send(`redirects:9080${path}`);
    expect(result.status).toBe(status);
    expect(headers["location"]).toBe(location);
  });
});

describe("HTTPDirectResponse", () => {
  test.each([
    ["a text", "/text", 503, "closed"],
    ["bytes", "/bytes", 200, "hello"],
    ["more than Envoy's own limit of 4 KiB", "/large", 200, "0123456789".repeat(1000)],
    ["no body", "/", 204, ""],
  ])("%s", async (_what, path, status, text) => {
    expect(await send(`answers:9080${path}`)).toMatchObject({ status, text });
  });
});

describe("HTTPRoute timeout", () => {
  test("a slow backend gives 504 at about the time", async () => {
    using _slow = world.backends.behave("timeouts", () => ({ delayMs: 20_000 }));
    const { status, ms } = await send("timeouts:9080/slow");
    expect(status).toBe(504);
    expect(ms).toBeGreaterThan(290);
    expect(ms).toBeLessThan(15_000);
    // A backend may give up on a request that timed out; it is not tried again.
    expect(asked("timeouts", "/slow")).toBe(1);
  });

  test("a fast one is not concerned", async () => {
    expect((await send("timeouts:9080/fast")).status).toBe(200);
  });
});

/** Makes the service `retries` fail the first requests for each path. */
function failing(times: number, status: number): Disposable {
  const failed = new Map<string, number>();
  return world.backends.behave("retries", ({ path }) => {
    const count = failed.get(path) ?? 0;
    failed.set(path, count + 1);
    return { status: count < times ? status : 200 };
  });
}

describe("HTTPRetry", () => {
  test("attempts retries at most, and the backend is told which attempt it is", async () => {
    using _failing = failing(2, 503);
    const seen = await seenAt("retries:9080/twice");
    expect(seen.headers["x-envoy-attempt-count"]).toBe("3");
    expect(asked("retries", "/twice")).toBe(3);
  });

  test("more failures than attempts come through", async () => {
    using _failing = failing(3, 503);
    expect((await send("retries:9080/twice/more")).status).toBe(503);
    expect(asked("retries", "/twice/more")).toBe(3);
  });

  test("attempts 0 switches retries off", async () => {
    using _failing = failing(1, 503);
    expect((await send("retries:9080/never")).status).toBe(503);
    expect(asked("retries", "/never")).toBe(1);
  });

  test("retryOn takes status codes", async () => {
    using _failing = failing(2, 409);
    expect((await send("retries:9080/conflict")).status).toBe(200);
    expect(asked("retries", "/conflict")).toBe(3);
  });

  test("perTryTimeout ends an attempt", async () => {
    let first = true;
    using _slow = world.backends.behave("retries", () => {
      const delayMs = first ? 20_000 : 0;
      first = false;
      return { delayMs };
    });
    const { status, ms } = await send("retries:9080/each");
    expect(status).toBe(200);
    expect(ms).toBeLessThan(15_000);
    expect(asked("retries", "/each")).toBe(2);
  });

  test("backoff is the longest wait before the first retry, and grows", async () => {
    using _failing = world.backends.behave("retries", () => ({ status: 503 }));
    const results = await inParallel(20, 20, (at) => send(`retries:9080/slowly/${at}`, { fresh: true }));
    // Up to 100 ms in all by default. By chance less than 150 ms with one of 25.
    expect(results.filter(({ ms }) => ms > 150).length).toBeGreaterThan(10);
  });

  /** How many of 200 requests fail when one of two Pods does. */
  async function failures(path: string): Promise<number> {
    using _failing = world.backends.behave("fallible-v1", () => ({ status: 503 }));
    const results = await inParallel(200, 4, () => send(`fallible:9080${path}`));
    return results.filter(({ status }) => status !== 200).length;
  }

  test("retryIgnorePreviousHosts: by default a retry goes to another Pod", async () => {
    // It is left at the same Pod when five new choices come out the same: two of 200, were they independent; but on a busy
    // machine the choice by outstanding requests repeats itself. Next to the 50 of any Pod it is few all the same.
    expect(await failures("/another")).toBeLessThan(20);
  });

  test("retryIgnorePreviousHosts false: a retry may go to the same Pod", async () => {
    // 50 are expected; five standard deviations are 31.
    expect(await failures("/any")).toBeGreaterThan(19);
  });

  test("retryRemoteLocalities: after two attempts the next locality's turn comes", async () => {
    using _failing = world.backends.behave("near", () => ({ status: 503 }));
    const { pod, headers } = await seenAt("places.example.com/remote");
    expect({ pod, attempt: headers["x-envoy-attempt-count"] }).toEqual({ pod: "far-v1-0", attempt: "3" });
    expect((await send("places.example.com/near")).status).toBe(503);
    expect(asked("near", "/near")).toBe(5);
  });

  test("by default an answer of the backend is not retried", async () => {
    using _failing = failing(1, 503);
    expect((await send("retries:9080/default")).status).toBe(503);
    expect(asked("retries", "/default")).toBe(1);
  });

  test("by default gRPC's UNAVAILABLE is", async () => {
    const grpc = { headers: { "content-type": "application/grpc" } };
    const before = world.backends.seen.length;
    let count = 0;
    using _failing = world.backends.behave("retries", () => {
      count += 1;
      return count < 3 ? { headers: { "grpc-status": "14" } } : { headers: { "grpc-status": "0" } };
    });
    const { headers } = await send("retries:9080/grpc", grpc);
    expect(headers["grpc-status"]).toBe("0");
    expect(world.backends.seen.length - before).toBe(3);
  });
});

function injectedDelays(): Promise<number> {
  return world.envoy("caller").sumOf(/fault\.delays_injected$/);
}

describe("HTTPFaultInjection", () => {
  test("Abort", async () => {
    expect(await send("faults:9080/abort")).toMatchObject({ status: 418, seen: undefined });
    expect(asked("faults", "/abort")).toBe(0);
  });

  test("Abort percentage", async () => {
    const results = await inParallel(600, 8, () => send("faults:9080/some"));
    const aborted = results.filter(({ status }) => status === 503).length;
    // 180 are expected; five standard deviations are 56.
    expect(aborted).toBeGreaterThan(124);
    expect(aborted).toBeLessThan(236);
    expect(asked("faults", "/some")).toBe(600 - aborted);
  });

  test("Abort without a percentage aborts nothing", async () => {
    const results = await inParallel(20, 4, () => send("faults:9080/none"));
    expect(results.map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
  });

  test("Abort of gRPC", async () => {
    const { headers } = await send("faults:9080/grpc", { headers: { "content-type": "application/grpc" } });
    expect(headers["grpc-status"]).toBe("14");
  });

  test("Delay", async () => {
    const { status, ms } = await send("faults:9080/delay");
    expect(status).toBe(200);
    expect(ms).toBeGreaterThan(295);
    expect(ms).toBeLessThan(15_000);
  });

  test.each([
    ["Delay percentage", "/slow-some"],
    ["Delay percent", "/whole-some"],
  ])("%s", async (_field, path) => {
    const before = await injectedDelays();
    await inParallel(200, 20, () => send(`faults:9080${path}`));
    const delayed = (await injectedDelays()) - before;
    // 50 are expected; five standard deviations are 31.
    expect(delayed).toBeGreaterThan(19);
    expect(delayed).toBeLessThan(81);
  });
});

describe("HTTPRoute mirror", () => {
  test("the mirror gets a copy, and the client does not notice", async () => {
    using _failing = world.backends.behave("shadow", () => ({ status: 500, delayMs: 20_000 }));
    const { status, ms, seen } = await send("mirrored:9080/all", { method: "POST", body: "order" });
    expect({ status, pod: seen?.pod }).toEqual({ status: 200, pod: "mirrored-v1-0" });
    expect(ms).toBeLessThan(15_000);
    await expect.poll(() => asked("shadow", "/all")).toBe(1);
    const copy = world.backends.seen.find(({ pod, path }) => pod === "shadow-v1-0" && path === "/all");
    expect(copy).toMatchObject({ method: "POST", body: "order", host: "mirrored:9080" });
  });

  test.each([
    ["mirrorPercentage", "/half"],
    ["mirrorPercent", "/whole-half"],
    ["mirror_percent", "/old-half"],
  ])("%s", async (_field, path) => {
    await inParallel(400, 8, () => send(`mirrored:9080${path}`));
    expect(asked("mirrored", path)).toBe(400);
    // 200 are expected; five standard deviations are 50. The last copies are on their way.
    await expect.poll(() => asked("shadow", path)).toBeGreaterThan(150);
    expect(asked("shadow", path)).toBeLessThan(250);
  });

  test("mirrors", async () => {
    await send("mirrored:9080/several");
    await expect.poll(() => asked("shadow", "/several") + asked("second-shadow", "/several")).toBe(2);
    expect(asked("third-shadow", "/several")).toBe(0);
  });
});

describe("Headers", () => {
  test("of the request and of the response: set, add, remove", async () => {
    using _answers = world.backends.behave("headers", () => ({
      headers: { "x-answer-set": "old", "x-answer-add": "old", "x-answer-remove": "old" },
    }));
    const sent = { "x-set": "old", "x-add": "old", "x-remove": "old" };
    const { headers, seen } = await send("headers:9080/", { headers: sent });
    expect(seen?.headers).toMatchObject({ "x-set": "new", "x-add": "old, more" });
    expect(seen?.headers).not.toHaveProperty("x-remove");
    expect(headers).toMatchObject({ "x-answer-set": "new" });
    expect(headers["x-answer-add"]).toBe("old, more");
    expect(headers).not.toHaveProperty("x-answer-remove");
  });

  test("Host of the request is its authority", async () => {
    expect((await seenAt("headers:9080/host")).host).toBe("other.example.com");
  });
});

/** What a browser asks before it lets a page of an origin send a PUT. */
function preflight(origin: string): Call {
  return { method: "OPTIONS", headers: { origin, "access-control-request-method": "PUT" } };
}

describe("CorsPolicy", () => {
  test("a preflight of an allowed origin is answered by the proxy", async () => {
    const { status, headers, seen } = await send("shared:9080/", preflight("https://page.example.com"));
    expect({ status, seen }).toEqual({ status: 200, seen: undefined });
    expect(headers).toMatchObject({
      "access-control-allow-origin": "https://page.example.com",
      "access-control-allow-methods": "GET,PUT",
      "access-control-allow-headers": "x-token",
      "access-control-max-age": "90",
      "access-control-allow-credentials": "true",
    });
  });

  test("origins may be given by a regular expression", async () => {
    const { headers } = await send("shared:9080/", preflight("https://any.example.org"));
    expect(headers["access-control-allow-origin"]).toBe("https://any.example.org");
  });

  test("allowOrigin takes origins as they are", async () => {
    const { headers } = await send("shared:9080/old", preflight("https://old.example.com"));
    expect(headers["access-control-allow-origin"]).toBe("https://old.example.com");
    const other = await send("shared:9080/old", preflight("https://older.example.com"));
    expect(other.headers).not.toHaveProperty("access-control-allow-origin");
  });

  test("a request proper gets the headers on its answer", async () => {
    const { headers, seen } = await send("shared:9080/", { headers: { origin: "https://page.example.com" } });
    expect(seen?.pod).toBe("shared-v1-0");
    expect(headers).toMatchObject({
      "access-control-allow-origin": "https://page.example.com",
      "access-control-expose-headers": "x-total",
    });
  });

  test("a preflight of another origin goes to the backend, unless unmatchedPreflights says IGNORE", async () => {
    const forwarded = await send("shared:9080/forwarded", preflight("https://evil.example.net"));
    expect(forwarded.seen?.method).toBe("OPTIONS");
    expect(forwarded.headers).not.toHaveProperty("access-control-allow-origin");
    const ignored = await send("shared:9080/ignore", preflight("https://evil.example.net"));
    expect(ignored.seen).toBeUndefined();
    expect(ignored.headers).not.toHaveProperty("access-control-allow-origin");
  });
});

describe("Delegate", () => {
  test("routes of the delegate stand in the place of the root's route", async () => {
    const { headers, text } = await send("delegating:9080/team/a/b");
    expect({ text, root: headers["x-root"] }).toEqual({ text: "team-a", root: "yes" });
  });

  test("routes that match outside of the root's match are left out", async () => {
    expect((await send("delegating:9080/other")).text).toBe("root");
  });
});

describe("VirtualService hosts", () => {
  test("of two rules for one host the older counts", async () => {
    expect((await send("elder:9080/")).text).toBe("first");
  });

  test("a wildcard serves hosts that no other rule names", async () => {
    expect((await send("unnamed.wild:9080/")).text).toBe("wildcard");
    expect((await seenAt("named.wild:9080/")).pod).toBe("named-v1-0");
  });

  test("hosts outside of the mesh are served on port 80", async () => {
    expect((await seenAt("www.example.com/")).pod).toBe("web-v1-0");
    expect((await seenAt("any.wild.example.com/")).pod).toBe("web-v1-0");
  });
});

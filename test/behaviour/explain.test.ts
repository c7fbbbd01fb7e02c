/** What Weft says would become of a request, beside what a real Envoy does with it. */
import fc from "fast-check";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, expect, test } from "vitest";
import { explainContext } from "#analysis/explain/context.ts";
import { explainRequest } from "#analysis/explain/explain.ts";
import type { Explanation } from "#analysis/explain/explanation.ts";
import { parseRequest } from "#analysis/explain/request.ts";
import { type OpenMesh, openMesh } from "#analysis/snapshot.ts";
import { patience, runs } from "../../src/base/testing/runs.ts";
import { World } from "./world.ts";

const istio = `
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: reviews }
spec:
  host: reviews
  subsets:
    - { name: v1, labels: { version: v1 } }
    - { name: v2, labels: { version: v2 } }
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: reviews }
spec:
  hosts: [reviews]
  http:
    - name: exact
      match: [{ uri: { exact: /a } }, { uri: { exact: /b/ }, ignoreUriCase: true }]
      route: [{ destination: { host: reviews, subset: v1 } }]
    - name: header
      match:
        - { headers: { x-tier: { exact: gold } }, withoutHeaders: { x-off: { exact: 'yes' } } }
        - { uri: { prefix: /h }, headers: { x-tier: { regex: '(?i)s[a-z]+r' } }, method: { exact: POST } }
      route: [{ destination: { host: reviews, subset: v2 } }]
    - name: query
      match: [{ queryParams: { q: { exact: '1' } } }, { queryParams: { q: { prefix: z } }, uri: { prefix: /a } }]
      directResponse: { status: 418 }
    - name: absent
      match: [{ uri: { regex: '/b.*' }, withoutHeaders: { x-tier: {} } }]
      redirect: { uri: /elsewhere, redirectCode: 307 }
    - name: present
      match: [{ headers: { x-off: {} }, authority: { prefix: reviews.shop } }]
      directResponse: { status: 204 }
    - name: plain
      match: [{ uri: { prefix: /h } }, { uri: { prefix: /a } }]
      route: [{ destination: { host: details } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: wild }
spec:
  hosts: ["*.example.com"]
  http: [{ directResponse: { status: 201 } }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: exact }
spec:
  hosts: [a.example.com]
  http: [{ directResponse: { status: 202 } }]
---
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge }
spec:
  selector: { app: edge }
  servers: [{ port: { number: 9080, name: http, protocol: HTTP }, hosts: ["*.example.org"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: edge }
spec:
  hosts: ["*.example.org"]
  gateways: [edge]
  http:
    - { match: [{ uri: { prefix: /a } }], route: [{ destination: { host: details } }] }
    - { match: [{ uri: { prefix: /h } }], directResponse: { status: 203 } }
`;

/** Policies of the workload `guarded`, each with something that others have not, and of the gateway. */
const policies = (keys: string) => `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: users }
spec:
  selector: { matchLabels: { app: guarded } }
  jwtRules:
    - { issuer: issuer.example, audiences: [shop], forwardOriginalToken: true, jwks: '${keys}' }
    - { issuer: other.example, fromHeaders: [{ name: x-token, prefix: "t " }], jwks: '${keys}' }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: deny }
spec:
  selector: { matchLabels: { app: guarded } }
  action: DENY
  rules:
    - from: [{ source: { notRequestPrincipals: [issuer.example/root] } }]
      to: [{ operation: { paths: ["/admin*", "*/secret"], notMethods: [HEAD] } }]
    - when: [{ key: "request.headers[x-tier]", values: ["gold*"], notValues: [golden] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: tried, annotations: { istio.io/dry-run: "true" } }
spec: { selector: { matchLabels: { app: guarded } }, action: DENY, rules: [{}] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: noted }
spec: { selector: { matchLabels: { app: guarded } }, action: AUDIT, rules: [{ to: [{ operation: { ports: ["8080"] } }] }] }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: allow }
spec:
  selector: { matchLabels: { app: guarded } }
  rules:
    - from: [{ source: { principals: [cluster.local/ns/shop/sa/page] } }, { source: { serviceAccounts: [nobody] } }]
      to: [{ operation: { methods: [GET] } }]
    - from: [{ source: { requestPrincipals: ["issuer.example/*"] } }]
      to: [{ operation: { paths: [/a, "/t/{*}/x"] } }]
    - to: [{ operation: { hosts: ["GUARDED.shop*"], notPaths: [/b] } }]
      from: [{ source: { notNamespaces: [shop] } }]
    - when: [{ key: "request.auth.claims[groups]", values: [staff] }]
    - from: [{ source: { ipBlocks: ["@stranger"] } }]
      when: [{ key: "request.headers[x-off]", values: ["yes"] }]
    - when: [{ key: remote.ip, values: [192.0.2.0/24] }, { key: "request.auth.claims[scope]", notValues: [write] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: edge }
spec:
  selector: { matchLabels: { app: edge } }
  action: DENY
  rules: [{ to: [{ operation: { paths: [/a] } }], when: [{ key: "request.headers[x-off]", values: ["yes"] }] }]
`;

const { privateKey, publicKey } = await generateKeyPair("ES256");
const strange = await generateKeyPair("ES256");
const sign = async (claims: Readonly<Record<string, unknown>>, key = privateKey): Promise<string> =>
  new SignJWT({ iss: "issuer.example", sub: "ada", aud: "shop", ...claims })
    .setProtectedHeader({ alg: "ES256", kid: "1" })
    .sign(key);
const past = 1_000_000_000;
const tokens = {
  ada: await sign({}),
  root: await sign({ sub: "root", groups: ["staff", "admins"] }),
  staff: await sign({ groups: "staff", scope: "read write" }),
  over: await sign({ exp: past }),
  early: await sign({ nbf: 5 * past }),
  elsewhere: await sign({ aud: ["bank"] }),
  foreign: await sign({ iss: "foreign.example" }),
  other: await sign({ iss: "other.example", groups: ["staff"] }),
  forged: await sign({}, strange.privateKey),
  garbage: "garbage",
} as const;

let world: World;
/** The world's mesh as explanations ask it; opened once, since nothing changes. */
let mesh: OpenMesh | undefined;

beforeAll(async () => {
  world = await World.start("explain", {
    services: [
      { name: "reviews", pods: { v1: 1, v2: 1 } },
      { name: "details" },
      { name: "guarded", servedBy: ["guarded"], ports: [{ name: "http", port: 9080, to: "http" }] },
    ],
    istio: [istio, policies(JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid: "1" }] }))],
    // What no virtual host is for is answered at once.
    mesh: { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } },
    proxies: [
      { name: "caller", identity: "page" },
      { name: "edge", type: "router", labels: { app: "edge" } },
      { name: "guarded", labels: { app: "guarded" }, identity: "guarded", serves: true },
      { name: "stranger" },
    ],
  });
});
afterAll(async () => world[Symbol.asyncDispose]());

/** A request by its parts. */
interface Asked {
  readonly method: string;
  readonly path: string;
  readonly host: string;
  readonly headers: Readonly<Record<string, string>>;
}

const asked: fc.Arbitrary<Asked> = fc.record({
  method: fc.constantFrom("GET", "POST", "PUT"),
  path: fc
    .tuple(
      fc.constantFrom("/", "/a", "/A", "/b/", "/B/", "/b", "/bc", "/h", "/h/x", "/a/../b", "/c"),
      fc.constantFrom("", "?q=1", "?q=zz", "?p=1&q=1", "?q", "?q=2&q=1"),
    )
    .map((parts) => parts.join("")),
  host: fc.constantFrom(
    "reviews",
    "reviews:9080",
    "REVIEWS",
    "reviews.shop",
    "reviews.shop.svc.cluster.local",
    "a.example.com",
    "b.example.com",
    "example.com",
    "x.example.org",
  ),
  headers: fc
    .record(
      { "x-tier": fc.constantFrom("gold", "silver", "SILVER", "", "golden"), "x-off": fc.constantFrom("yes", "no") },
      { requiredKeys: [] },
    )
    .map((headers) => Object.fromEntries(Object.entries(headers).filter(([, value]) => value !== undefined))),
});

function explained(from: string, { method, path, host, headers }: Asked, to = "reviews"): Explanation {
  const proxies = world.meshProxies;
  const proxy = proxies.find(({ name }) => name === `${from}.shop`)!;
  mesh ??= openMesh(world.snapshot, { traced: true });
  const named = Object.entries({ ...headers, host }).map(([name, value]) => `${name}: ${value}`);
  const request = parseRequest(method, `http://${to}:9080${path}`, named);
  if (typeof request === "string") throw new Error(request);
  return explainRequest(explainContext(mesh, world.snapshot, proxies, proxy, Date.now()), request);
}

/** Who answers: the only Pod of the only destination, or the proxy itself with a status. */
function foretold({ steps, destinations }: Explanation): string {
  const [only] = destinations;
  if (only) return only.endpoints.flatMap(({ pod }) => pod?.name ?? []).join(" or ");
  return /\b[2-5]\d\d\b/.exec(steps.at(-1)?.text ?? "")?.[0] ?? "nothing";
}

test("a sidecar does with a request what is foretold", { timeout: patience(120_000) }, async () => {
  await fc.assert(
    fc.asyncProperty(asked, async (each) => {
      const { status, seen } = await world.caller("caller").send(`http://reviews:9080${each.path}`, each);
      expect(foretold(explained("caller", each))).toBe(seen ? `${seen.pod}.shop` : String(status));
    }),
    { numRuns: runs(300) },
  );
});

test("a gateway does with a request what is foretold", { timeout: patience(120_000) }, async () => {
  const address = world.addressOf("edge");
  await fc.assert(
    fc.asyncProperty(asked, async (each) => {
      const { status, seen } = await world.outside.send(`http://${address}:9080${each.path}`, each);
      expect(foretold(explained("edge", each))).toBe(seen ? `${seen.pod}.shop` : String(status));
    }),
    { numRuns: runs(100) },
  );
});

/** Requests to the workload with policies, with tokens, and the addresses by which they say that they came. */
const guarded: fc.Arbitrary<Asked> = fc
  .record({
    method: fc.constantFrom("GET", "GET", "POST", "HEAD", "OPTIONS"),
    path: fc
      .tuple(
        fc.constantFrom(
          "/",
          "/a",
          "/A",
          "/b",
          "/admin",
          "/admin/x",
          "/x/secret",
          "/t/1/x",
          "/t/1/2/x",
          "/t//x",
          "/a/../b",
        ),
        fc.constantFrom("", "?q=1", `?access_token=${tokens.ada}`),
      )
      .map((parts) => parts.join("")),
    host: fc.constantFrom(
      "guarded",
      "guarded:9080",
      "guarded.shop",
      "GUARDED.shop:9080",
      "guarded.shop.svc.cluster.local",
    ),
    bearer: fc.option(fc.constantFrom(...(Object.keys(tokens) as (keyof typeof tokens)[])), { nil: undefined }),
    other: fc.constantFrom(undefined, undefined, undefined, "other" as const, "ada" as const),
    headers: fc.record(
      {
        "x-tier": fc.constantFrom("gold", "golden", "goldfish", "silver", ""),
        "x-off": fc.constantFrom("yes", "no"),
        "x-forwarded-for": fc.constantFrom("192.0.2.7", "192.0.2.7, 198.51.100.1", "198.51.100.1, 192.0.2.7"),
      },
      { requiredKeys: [] },
    ),
  })
  .map(({ bearer, other, headers, ...rest }) => {
    const all: Record<string, string | undefined> = {
      ...headers,
      authorization: bearer && `Bearer ${tokens[bearer]}`,
      "x-token": other && `t ${tokens[other]}`,
    };
    const there = Object.entries(all).filter((entry): entry is [string, string] => entry[1] !== undefined);
    return { ...rest, headers: Object.fromEntries(there) };
  });

test.each(["caller", "stranger"])(
  "policies of a workload do with a request of %s what is foretold",
  { timeout: patience(120_000) },
  async (from) => {
    const outcomes = new Set<string>();
    await fc.assert(
      fc.asyncProperty(guarded, async (each) => {
        const [only] = explained(from, each, "guarded").destinations;
        const { refused, policies: decided = [] } = only?.endpoints[0] ?? {};
        const foretold = refused ? (/\b40[13]\b/.exec(decided.at(-1)?.text ?? "")?.[0] ?? "refused") : "200";
        const { status } = await world.caller(from).send(`http://guarded:9080${each.path}`, each);
        expect([decided.filter(({ text }) => text.includes("depends")), foretold]).toEqual([[], String(status)]);
        outcomes.add(foretold);
      }),
      { numRuns: runs(300) },
    );
    expect(outcomes).toEqual(new Set(["200", "401", "403"]));
  },
);

test("each decision of a policy names the rule that made it", () => {
  const decided = (path: string, headers: Asked["headers"] = {}, method = "GET") => {
    const asked = { method, path, host: "guarded", headers };
    const { policies: said = [] } = explained("caller", asked, "guarded").destinations[0]?.endpoints[0] ?? {};
    return said.map(({ text, because }) => [
      text,
      ...because.map(({ ref, field }) => `${ref.kind} ${ref.namespace}/${ref.name} ${field}`),
    ]);
  };
  const noted = ["noted by AUDIT, and let through", "AuthorizationPolicy shop/noted spec.rules[0]"];
  const tried = ["would be refused with 403 (dry run)", "AuthorizationPolicy shop/tried spec.rules[0]"];
  expect(decided("/")).toEqual([noted, tried, ["allowed", "AuthorizationPolicy shop/allow spec.rules[0]"]]);
  expect(decided("/admin")).toEqual([
    noted,
    tried,
    ["refused with 403: a rule that denies is met", "AuthorizationPolicy shop/deny spec.rules[0]"],
  ]);
  expect(decided("/", {}, "POST")).toEqual([
    noted,
    tried,
    ["refused with 403: no rule that allows is met", "AuthorizationPolicy shop/allow "],
  ]);
  expect(decided("/", { authorization: `Bearer ${tokens.over}` })).toEqual([
    ["refused with 401: its token has expired", "RequestAuthentication shop/users spec.jwtRules[0].issuer"],
  ]);
  expect(decided("/", { authorization: `Bearer ${tokens.ada}` })[0]).toEqual([
    "the token of issuer.example is good",
    "RequestAuthentication shop/users spec.jwtRules[0].issuer",
  ]);
});

test("each decision names the field that made it", () => {
  const { steps, destinations } = explained("caller", {
    method: "GET",
    path: "/c",
    host: "reviews",
    headers: { "x-tier": "gold" },
  });
  const taken = steps.findLast(({ name }) => name === "route");
  expect(taken?.because.map(({ ref, field, value }) => [ref.kind, ref.name, field, value])).toEqual([
    [
      "VirtualService",
      "reviews",
      "spec.http[1].match[0]",
      { headers: { "x-tier": { exact: "gold" } }, withoutHeaders: { "x-off": { exact: "yes" } } },
    ],
  ]);
  expect(destinations[0]?.because.map(({ ref, field }) => [ref.kind, field])).toEqual([
    ["VirtualService", "spec.http[1].route[0]"],
    ["Service", "spec.ports[0]"],
    ["DestinationRule", "spec.subsets[1]"],
  ]);
});

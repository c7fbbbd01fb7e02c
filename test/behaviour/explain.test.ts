/** What Weft says would become of a request, beside what a real Envoy does with it. */
import fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { explainContext } from "#analysis/explain/context.ts";
import { explainRequest } from "#analysis/explain/explain.ts";
import type { Explanation } from "#analysis/explain/explanation.ts";
import { parseRequest } from "#analysis/explain/request.ts";
import { openMesh } from "#analysis/snapshot.ts";
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

let world: World;

beforeAll(async () => {
  world = await World.start("explain", {
    services: [{ name: "reviews", pods: { v1: 1, v2: 1 } }, { name: "details" }],
    istio: [istio],
    // What no virtual host is for is answered at once.
    mesh: { outboundTrafficPolicy: { mode: "REGISTRY_ONLY" } },
    proxies: [{ name: "caller" }, { name: "edge", type: "router", labels: { app: "edge" } }],
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

function explained(from: string, { method, path, host, headers }: Asked): Explanation {
  const proxies = world.meshProxies;
  const proxy = proxies.find(({ name }) => name === `${from}.shop`)!;
  const mesh = openMesh(world.snapshot, { traced: true });
  const named = Object.entries({ ...headers, host }).map(([name, value]) => `${name}: ${value}`);
  const request = parseRequest(method, `http://reviews:9080${path}`, named);
  if (typeof request === "string") throw new Error(request);
  return explainRequest(explainContext(mesh, world.snapshot, proxies, proxy), request);
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

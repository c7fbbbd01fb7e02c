import { expect, test } from "vitest";
import type { HTTPRoute } from "#api/istio/http-route.ts";
import { ruleFindings } from "./findings.ts";

const ref = { group: "networking.istio.io", kind: "VirtualService", namespace: "shop", name: "reviews" };
const route = [{ destination: { host: "reviews" } }];

function unreachable(...http: readonly HTTPRoute[]): readonly (string | undefined)[] {
  return ruleFindings(ref, { http })
    .filter(({ code }) => code === "UnreachableRoute")
    .map(({ field }) => field);
}

test.each<readonly [what: string, first: HTTPRoute]>([
  ["no match", { route }],
  ["a match of every path", { match: [{ uri: { prefix: "/" } }], route }],
  ["one of several matches", { match: [{ uri: { exact: "/a" } }, { uri: { regex: ".*" } }], route }],
])("a route behind one with %s is out of reach", (_what, first) => {
  expect(unreachable(first, { route }, { route })).toEqual(["spec.http[1]"]);
});

test.each<readonly [what: string, first: HTTPRoute]>([
  ["of a path", { match: [{ uri: { prefix: "/a" } }], route }],
  ["of some callers", { match: [{ sourceLabels: { app: "page" } }], route }],
  ["of a gateway", { match: [{ gateways: ["edge"] }], route }],
  ["of a port", { match: [{ port: 80 }], route }],
  ["of a header", { match: [{ headers: { "x-tier": {} } }], route }],
  ["of what a delegate matches", { delegate: { name: "team" } }],
])("a route behind one %s is not", (_what, first) => {
  expect(unreachable(first, { route })).toEqual([]);
});

test("a TCP route behind one that takes every connection is out of reach", () => {
  const some = { match: [{ port: 80 }, { destinationSubnets: ["10.0.0.0/8"] }], route };
  const all = { match: [{ port: 80 }, {}], route };
  expect(ruleFindings(ref, { tcp: [some, all, some] })).toMatchObject([
    { code: "UnreachableRoute", field: "spec.tcp[2]" },
  ]);
  expect(ruleFindings(ref, { tcp: [some, some, { route }] })).toEqual([]);
});

test("a server name with a wildcard within a label cannot be matched", () => {
  const tls = [{ match: [{ sniHosts: ["*.example.com", "*", "*-x.example.com"] }], route }];
  expect(ruleFindings(ref, { tls })).toMatchObject([
    { code: "UnmatchableServerName", field: "spec.tls[0].match[0].sniHosts" },
  ]);
});

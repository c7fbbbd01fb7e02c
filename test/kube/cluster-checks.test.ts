/** What is found wrong with a cluster before it joins, by what its API answers. */
import { afterAll, afterEach, beforeAll, expect, test } from "vitest";
import { configMap } from "#api/kubernetes/config-map.ts";
import { namespace as namespaceKind } from "#api/kubernetes/namespace.ts";
import { node as nodeKind } from "#api/kubernetes/node.ts";
import type { Cluster } from "#api/weft/cluster.ts";
import { startTestServer, tlsOf } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { createAuthority } from "#base/testing/certificate.ts";
import { type CheckResult, checkCandidate } from "#controllers/clusters/checks.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { ApiFront } from "./api-front.ts";

const authority = createAuthority("east's API");
const resources = new AsyncDisposableStack();
let front: ApiFront;
let own: Client;

beforeAll(async () => {
  const server = resources.use(await startTestServer({ access: {} }));
  const tls = tlsOf(server.server.authorities.get("east")!, { name: "admin", groups: ["system:masters"] });
  const { ca, cert: certificate, key } = tls;
  const address = { url: server.url("east"), ca, ...(certificate && key && { certificate, key }) };
  own = new Client(resources.use(new Connection(address, { clock: systemClock })));
  await own.of(namespaceKind).create({ metadata: { name: "shop" } });
  const spec = { podCIDR: "10.1.0.0/24", podCIDRs: ["10.1.0.0/24"] };
  await own.of(nodeKind).create({ metadata: { name: "n1" }, spec });
  front = resources.use(await ApiFront.of(server.url("east"), authority, tls));
  front.own.set("/openid/v1/jwks", { keys: [{ kty: "EC" }] });
});
afterEach(() => {
  front.own.delete("/version");
});
afterAll(() => resources.disposeAsync());

interface Given {
  readonly token?: string;
  readonly aheadMs?: number;
  readonly clusters?: readonly Cluster[];
}

/** What checks find, by check, as `OUTCOME MESSAGE`. */
async function found({ token = "good", aheadMs = 0, clusters = [] }: Given = {}): Promise<Record<string, string>> {
  const address = { url: front.url, ca: authority.certificate, token };
  using connection = new Connection(address, { clock: systemClock });
  const clock = { ...systemClock, now: () => systemClock.now() + aheadMs };
  const client = new Client(connection);
  const candidate = { name: "east", client, address, network: "main", clusters, clock };
  const results: CheckResult[] = [];
  await checkCandidate(candidate, (result) => results.push(result));
  return Object.fromEntries(results.map(({ check, outcome, message }) => [check, `${outcome} ${message}`]));
}

function member(name: string, network: string, podRanges: readonly string[]): Cluster {
  const metadata = { name, uid: name, resourceVersion: "1", generation: 1, creationTimestamp: "2026-01-01T00:00:00Z" };
  const spec = { server: "https://127.0.0.1:1", network };
  return { apiVersion: "mesh.weft.dev/v1alpha1", kind: "Cluster", metadata, spec, status: { podRanges } };
}

test("a cluster with nothing wrong passes", async () => {
  front.own.set("/version", { gitVersion: "v1.36.3" });
  const results = await found();
  expect(results).toMatchObject({ version: "passed Kubernetes v1.36.3" });
  expect(Object.values(results).filter((each) => !each.startsWith("passed"))).toEqual([]);
});

test.each([
  ["v1.28.15", "failed Kubernetes v1.28.15 is too old: upgrade it to v1.29 or later"],
  ["v1.29.0+k3s1", "passed Kubernetes v1.29.0+k3s1"],
  ["v1.40.0", "warned Kubernetes v1.40.0 is newer than v1.36, the last one that was tested"],
  ["next", "warned next is no version that is known"],
])("of Kubernetes %s it says: %s", async (gitVersion, expected) => {
  front.own.set("/version", { gitVersion });
  expect((await found())["version"]).toBe(expected);
});

test.each([
  [20_000, /^warned its clock differs by (19|20|21) s/],
  [-3_600_000, /^failed its clock differs by (3599|3600|3601) s .*certificates and tokens would not be taken/],
])("of a clock that is %i ms off it says so", async (aheadMs, expected) => {
  expect((await found({ aheadMs }))["clock"]).toMatch(expected);
});

test("credentials that are not taken any more are the only thing that is said", async () => {
  const results = await found({ token: "expired" });
  expect(Object.keys(results)).toEqual(["reachable"]);
  expect(results["reachable"]).toMatch(
    /^failed .*Unauthorized.*: check the server and the credentials of the kubeconfig/,
  );
});

test("the roots of another mesh keep it out, and are named", async () => {
  const place = { namespace: "shop", name: "istio-ca-root-cert" };
  await own.of(configMap).create({ metadata: place, data: { "root-cert.pem": "another" } });
  try {
    expect((await found())["trust"]).toMatch(/^failed another mesh .*ConfigMap shop\/istio-ca-root-cert/);
  } finally {
    await own.of(configMap).delete(place);
  }
});

test("a cluster without keys of its tokens is told how they can be checked", async () => {
  front.own.set("/openid/v1/jwks", { keys: [] });
  try {
    expect((await found())["trust"]).toContain("warned it publishes no keys");
  } finally {
    front.own.set("/openid/v1/jwks", { keys: [{ kty: "EC" }] });
  }
});

test.each([
  [
    "main",
    ["10.1.0.0/16"],
    /^failed its Pods have 10\.1\.0\.0\/24, and in the network "main" west has 10\.1\.0\.0\/16/,
  ],
  ["main", ["10.2.0.0/16"], /^passed/],
  ["other", ["10.1.0.0/16"], /^passed/],
  ["main", [], /^warned west .*does not tell its ranges/],
])("beside a member of the network %s with %j", async (network, ranges, expected) => {
  expect((await found({ clusters: [member("west", network, ranges)] }))["addresses"]).toMatch(expected);
});

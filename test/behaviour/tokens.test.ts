/**
 * Tokens of requests, in the tables' form, and what workloads are told of them. Names of groups are headings of Istio's
 * reference "Request Authentication".
 */
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jwksKey } from "#model/jwks.ts";
import { eventually } from "../support/eventually.ts";
import { groups } from "./authorization-groups.ts";
import { plainPort, policiesOf, plainPortsOf, requestOn, type Row, rowsOf } from "./policy-matrix.ts";
import { crossedGroups } from "./crossed-groups.ts";
import { refusals, tokenGroups } from "./token-groups.ts";
import { authentication, fetched, keySet, root, tokens, withTokens } from "./token-kinds.ts";
import { World } from "./world.ts";

const edge = `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { app: edge }
  servers: [{ port: { number: 8088, name: http, protocol: HTTP }, hosts: ["*"] }]
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: edge, namespace: edge }
spec:
  hosts: ["*"]
  gateways: [edge]
  http:
    - match: [{ headers: { "@request.auth.claims.groups": { exact: staff } } }]
      directResponse: { status: 200, body: { string: staff } }
    - match: [{ headers: { "@request.auth.claims[team][name]": { prefix: till } } }]
      directResponse: { status: 200, body: { string: till } }
    - match: [{ headers: { "@request.auth.claims.sub": { regex: "al.*" } }, withoutHeaders: { "@request.auth.claims.groups": {} } }]
      directResponse: { status: 200, body: { string: alice } }
    - directResponse: { status: 200, body: { string: anybody } }
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: edge, namespace: edge }
spec:
  selector: { matchLabels: { app: edge } }
  action: DENY
  rules:
    - to: [{ operation: { paths: [/shut] } }]
    - to: [{ operation: { paths: [/staff] } }]
      when: [{ key: "request.auth.claims[groups]", notValues: [staff] }]
    - to: [{ operation: { paths: [/far] } }]
      from: [{ source: { notRemoteIpBlocks: [192.0.2.0/24] } }]
    - to: [{ operation: { paths: [/near] } }]
      from: [{ source: { ipBlocks: [10.10.0.1] } }]
    - to: [{ operation: { hosts: [closed.example] } }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: named, namespace: edge }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: front }]
  action: DENY
  rules: [{ to: [{ operation: { paths: [/named] } }] }]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: elsewhere, namespace: edge }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: back }]
  action: DENY
  rules: [{}]
---
apiVersion: security.istio.io/v1
kind: AuthorizationPolicy
metadata: { name: classes, namespace: edge }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: GatewayClass, name: front }]
  action: DENY
  rules: [{}]
`;

let world: World;

beforeAll(async () => {
  const users = await authentication();
  world = await World.start("tk", {
    proxies: [
      { name: "server", labels: { app: "server" }, serves: true },
      {
        name: "edge",
        type: "router",
        namespace: "edge",
        labels: { app: "edge", "gateway.networking.k8s.io/gateway-name": "front" },
      },
    ],
    services: [{ name: "server", servedBy: ["server"], ports: [{ name: "http", port: 80, to: "http" }] }],
    istio: [
      policiesOf(tokenGroups, "server"),
      plainPortsOf(tokenGroups, "server"),
      users,
      users
        .replace("name: users", "name: users, namespace: edge")
        .replace(
          "selector: { matchLabels: { app: server } }",
          "targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: front }]",
        ),
      edge,
    ],
  });
  const keys = await keySet(fetched, "EdDSA");
  world.model.inputs.setJwks(jwksKey({ issuer: "", uri: "https://fetched.example/keys" }), { keys });
  world.model.inputs.setJwks(jwksKey({ issuer: "", uri: "https://closed.example/keys" }), { problem: "it is down" });
  await eventually("the keys that were fetched have come", async () => {
    const { status } = await call({ at: 0, method: "GET", path: "/", headers: { "x-fetched": "token:fetched" } });
    return status === 200;
  });
}, 120_000);

afterAll(async () => world[Symbol.asyncDispose]());

async function call({ at, method, path, headers }: Pick<Row, "at" | "method" | "path" | "headers">) {
  const socket = await world.outside.connect(world.addressOf("server"), plainPort(at));
  const sent = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, withTokens(value)]));
  return requestOn(socket, { method, path: withTokens(path), headers: sent });
}

describe("each token and each policy", () => {
  test.each(rowsOf(tokenGroups).map((row) => [row.title, row] as const))("%s", async (_title, row) => {
    const { status, text } = await call(row);
    const outcome = row.outcome === "denied" ? "403 RBAC: access denied" : row.outcome;
    expect(status === 200 && text.startsWith('{"pod":') ? "allowed" : `${status} ${text}`).toBe(outcome);
  });
});

/** Headers as the workload saw them. */
async function seen(headers: Readonly<Record<string, string>>): Promise<Readonly<Record<string, string>>> {
  const { text } = await call({ at: 0, method: "GET", path: "/", headers });
  return (JSON.parse(text) as { headers: Record<string, string> }).headers;
}

describe("JWTRule", () => {
  test("forwardOriginalToken passes the token on; without it the workload does not see it", async () => {
    expect((await seen({ authorization: "bearer:good" }))["authorization"]).toBe(`Bearer ${tokens["good"]}`);
    expect((await seen({ "x-other": "token:other" }))["x-other"]).toBeUndefined();
  });

  test("outputPayloadToHeader tells the workload the claims", async () => {
    const { "x-payload": payload = "" } = await seen({ authorization: "bearer:admin" });
    expect(JSON.parse(Buffer.from(payload, "base64url").toString())).toEqual(root);
  });

  test("outputClaimToHeaders tells single claims, and takes away what a caller says", async () => {
    const told = await seen({ authorization: "bearer:admin" });
    expect([told["x-subject"], told["x-team"]]).toEqual(["root", "tillers"]);
    const lied = await seen({ authorization: "bearer:good", "x-subject": "root", "x-team": "tillers" });
    expect([lied["x-subject"], lied["x-team"]]).toEqual(["alice", undefined]);
    expect((await seen({ "x-subject": "root" }))["x-subject"]).toBeUndefined();
  });

  test("keys that cannot be fetched are a finding, and nothing else is touched", async () => {
    expect(world.findings("RequestAuthentication", "users")).toEqual(["KeysUnavailable spec.jwtRules[3].jwksUri"]);
    expect((await call({ at: 0, method: "GET", path: "/", headers: { authorization: "bearer:good" } })).status).toBe(
      200,
    );
  });
});

describe("JWT claim based routing", () => {
  test.each([
    ["admin", "staff"],
    ["good", "alice"],
    ["", "anybody"],
    ["expired", "Jwt is expired"],
  ])("a request with the token %s goes to %s", async (kind, answer) => {
    const headers = kind === "" ? {} : { authorization: `Bearer ${tokens[kind]}` };
    const url = `http://${world.addressOf("edge")}:8088/`;
    const got = await eventually("the gateway answers", async () => {
      const result = await world.outside.send(url, { headers, fresh: true });
      return result.status === 404 ? undefined : result;
    });
    expect(got.text).toBe(answer);
  });
});

const denied = "RBAC: access denied";

describe("AuthorizationPolicy at a gateway", () => {
  const far = { "x-forwarded-for": "192.0.2.7" };
  test.each([
    ["/shut", "", {}, denied],
    ["/open", "", {}, "anybody"],
    ["/staff", "", {}, denied],
    ["/staff", "good", {}, denied],
    ["/staff", "admin", {}, "staff"],
    ["/staff", "tampered", {}, "Jwt verification fails"],
    ["/far", "", {}, denied],
    // A gateway believes no caller's word for its address.
    ["/far", "", far, denied],
    ["/near", "", far, denied],
    ["/open", "", { host: "closed.example" }, denied],
  ])("%s with the token %o and %o gets %s", async (path, kind, more, answer) => {
    const headers = { ...more, ...(kind !== "" && { authorization: `Bearer ${tokens[kind]}` }) };
    const socket = await world.outside.connect(world.addressOf("edge"), 8088);
    expect((await requestOn(socket, { method: "GET", path, headers })).text).toBe(answer);
  });
});

describe("targetRefs to a Gateway of the Gateway API", () => {
  // RequestAuthentication of the gateway names it so, too: "JWT claim based routing" shows that.
  test.each([
    ["/named", "", denied],
    ["/named", "good", denied],
    ["/named", "garbage", "Jwt is not in the form of Header.Payload.Signature with two dots and 3 sections"],
    ["/open", "", "anybody"],
  ])("%s with the token %o gets %s", async (path, kind, answer) => {
    const headers = kind === "" ? {} : { authorization: `Bearer ${tokens[kind]}` };
    const socket = await world.outside.connect(world.addressOf("edge"), 8088);
    expect((await requestOn(socket, { method: "GET", path, headers })).text).toBe(answer);
  });

  test("a finding says where nothing carries a policy out", () => {
    const findings = (name: string) => world.findings("AuthorizationPolicy", name, "edge");
    expect(findings("named")).toEqual([]);
    expect(world.findings("RequestAuthentication", "users", "edge")).toEqual([
      "KeysUnavailable spec.jwtRules[3].jwksUri",
    ]);
    expect(findings("elsewhere")).toEqual(["NoWorkload spec.targetRefs[0]"]);
    expect(findings("classes")).toEqual(["NotImplemented spec.targetRefs[0]"]);
  });
});

describe("the tables", () => {
  const refused = (rows: readonly Row[]): number => rows.filter(({ outcome }) => outcome !== "allowed").length;

  test("have three hundred cases, at least half of them refusals", () => {
    const rows = rowsOf([...groups, ...tokenGroups, ...crossedGroups]);
    expect(rows.length).toBeGreaterThanOrEqual(300);
    expect(refused(rows) * 2).toBeGreaterThanOrEqual(rows.length);
    expect(rows.every(({ group, outcome }) => group.heading !== "" && outcome !== "")).toBe(true);
  });

  test("have workloads of the mesh with each kind of token, at least half of them refusals", () => {
    const rows = rowsOf(crossedGroups);
    expect(rows.length).toBeGreaterThanOrEqual(30);
    expect(refused(rows) * 2).toBeGreaterThanOrEqual(rows.length);
    const kinds = rows.flatMap(({ headers }) => Object.values(headers).map((value) => value.split(":")[1]));
    const bad = Object.keys(refusals).filter((kind) => kind !== "unsigned");
    expect(kinds).toEqual(expect.arrayContaining(["good", "admin", "other", ...bad]));
  });
});

/**
 * Tokens of requests, in the tables' form, and what workloads are told of them. Names of groups are headings of Istio's
 * reference "Request Authentication".
 */
import { exportJWK, generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { jwksKey } from "#model/jwks.ts";
import { eventually } from "../support/eventually.ts";
import { groups } from "./authorization-groups.ts";
import { plainPort, policiesOf, plainPortsOf, requestOn, type Row, rowsOf } from "./policy-matrix.ts";
import { tokenGroups } from "./token-groups.ts";
import { World } from "./world.ts";

const own = await generateKeyPair("RS256", { extractable: true });
const others = await generateKeyPair("ES256", { extractable: true });
const fetched = await generateKeyPair("EdDSA", { extractable: true });
const strange = await generateKeyPair("ES256");
type Keys = typeof own;

const hour = 3600;
const now = Math.floor(Date.now() / 1000);

interface Claims {
  readonly [claim: string]: unknown;
}

const alice: Claims = { iss: "issuer.example", sub: "alice", aud: "shop", exp: now + hour };
const root: Claims = {
  ...alice,
  sub: "root",
  aud: ["shop", "bank"],
  azp: "console",
  groups: ["staff", "admins"],
  team: { name: "tillers" },
  scope: "read write",
  roles: "cook baker",
};

function sign(claims: Claims, keys: Keys = own, alg = "RS256"): Promise<string> {
  return new SignJWT({ ...claims }).setProtectedHeader({ alg, kid: alg }).sign(keys.privateKey);
}

async function tampered(): Promise<string> {
  const [header, , signature] = (await sign(alice)).split(".");
  const payload = Buffer.from(JSON.stringify({ ...alice, sub: "root" })).toString("base64url");
  return [header, payload, signature].join(".");
}

/** Tokens by what they are. */
const tokens: Readonly<Record<string, string>> = {
  good: await sign(alice),
  admin: await sign(root),
  expired: await sign({ ...alice, exp: now - hour }),
  early: await sign({ ...alice, nbf: now + hour }),
  audience: await sign({ ...alice, aud: "bank" }),
  issuer: await sign({ ...alice, iss: "foreign.example" }),
  unsigned: (await sign(alice)).split(".").slice(0, 2).join("."),
  none: new UnsecuredJWT({ ...alice }).encode(),
  nosig: [Buffer.from('{"alg":"none"}').toString("base64url"), ...(await sign(alice)).split(".").slice(1)].join("."),
  tampered: await tampered(),
  stranger: await sign(alice, strange, "ES256"),
  garbage: "garbage",
  other: await sign({ ...alice, iss: "other.example", sub: "bob" }, others, "ES256"),
  fetched: await sign({ ...alice, iss: "fetched.example" }, fetched, "EdDSA"),
  closed: await sign({ ...alice, iss: "closed.example" }),
};

async function keySet({ publicKey }: Keys, kid: string): Promise<string> {
  return JSON.stringify({ keys: [{ ...(await exportJWK(publicKey)), kid }] });
}

async function authentication(): Promise<string> {
  return `
apiVersion: security.istio.io/v1
kind: RequestAuthentication
metadata: { name: users }
spec:
  selector: { matchLabels: { app: server } }
  jwtRules:
    - issuer: issuer.example
      audiences: [shop]
      jwks: '${await keySet(own, "RS256")}'
      forwardOriginalToken: true
      outputPayloadToHeader: x-payload
      outputClaimToHeaders: [{ header: x-subject, claim: sub }, { header: x-team, claim: team.name }]
      spaceDelimitedClaims: [roles]
    - issuer: other.example
      jwks: '${await keySet(others, "ES256")}'
      fromHeaders: [{ name: x-other }, { name: x-prefixed, prefix: Pass- }]
      fromParams: [access]
      fromCookies: [session]
    - { issuer: fetched.example, jwksUri: "https://fetched.example/keys", fromHeaders: [{ name: x-fetched }] }
    - { issuer: closed.example, jwksUri: "https://closed.example/keys" }
`;
}

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
`;

let world: World;

beforeAll(async () => {
  const users = await authentication();
  world = await World.start("tk", {
    proxies: [
      { name: "server", labels: { app: "server" }, serves: true },
      { name: "edge", type: "router", namespace: "edge", labels: { app: "edge" } },
    ],
    services: [{ name: "server", servedBy: ["server"], ports: [{ name: "http", port: 80, to: "http" }] }],
    istio: [
      policiesOf(tokenGroups, "server"),
      plainPortsOf(tokenGroups, "server"),
      users,
      users.replace("name: users", "name: users, namespace: edge").replace("app: server", "app: edge"),
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

function written(text: string): string {
  return text
    .replaceAll(/token:(\w+)/g, (_whole, kind: string) => tokens[kind] ?? "")
    .replaceAll(/bearer:(\w+)/g, (_whole, kind: string) => `Bearer ${tokens[kind] ?? ""}`);
}

async function call({ at, method, path, headers }: Pick<Row, "at" | "method" | "path" | "headers">) {
  const socket = await world.outside.connect(world.addressOf("server"), plainPort(at));
  const sent = Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, written(value)]));
  return requestOn(socket, { method, path: written(path), headers: sent });
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

describe("AuthorizationPolicy at a gateway", () => {
  const denied = "RBAC: access denied";
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

test("the tables have three hundred cases, at least half of them refusals", () => {
  const rows = rowsOf([...groups, ...tokenGroups]);
  expect(rows.length).toBeGreaterThanOrEqual(300);
  expect(rows.filter(({ outcome }) => outcome !== "allowed").length * 2).toBeGreaterThanOrEqual(rows.length);
});

import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import {
  createLocalJWKSet,
  decodeJwt,
  generateKeyPair,
  jwtVerify,
  SignJWT,
  UnsecuredJWT,
  type JSONWebKeySet,
} from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { runs } from "#base/testing/runs.ts";
import { systemClock, type Clock } from "#base/clock.ts";
import { created, createNamespace, pod } from "./testing/objects.ts";
import { startTestServer, type Answer, type Json, type TestServer } from "./testing/server.ts";
import { IssuerKeys } from "./tokens/issuer-keys.ts";

const issuer = "https://east.weft.internal";
let server: TestServer;
let now = Date.now();
const clock: Clock = { ...systemClock, now: () => now };

beforeAll(async () => {
  server = await startTestServer({ clock });
  await createNamespace(server, "east", "shop");
  await created(server, "east", "/api/v1/namespaces/shop/serviceaccounts", { metadata: { name: "reviews" } });
});
afterAll(() => server[Symbol.asyncDispose]());

function request(spec: object = {}, name = "reviews"): Promise<Answer> {
  const path = `/api/v1/namespaces/shop/serviceaccounts/${name}/token`;
  return server.ask("east", path, { method: "POST", body: { spec } });
}

async function tokenOf(spec: object = {}): Promise<string> {
  const { status, json } = await request(spec);
  expect(status).toBe(201);
  return json.status.token;
}

async function review(token: string, audiences?: readonly string[]): Promise<Json> {
  const path = "/apis/authentication.k8s.io/v1/tokenreviews";
  const answer = await server.ask("east", path, { method: "POST", body: { spec: { token, audiences } } });
  expect(answer.status).toBe(201);
  return answer.json.status;
}

async function makePod(name: string, spec: object = {}): Promise<Json> {
  const body = pod(name, { serviceAccountName: "reviews", ...spec });
  return (await created(server, "east", "/api/v1/namespaces/shop/pods", body)).json;
}

async function makeNode(name: string): Promise<Json> {
  return (await created(server, "east", "/api/v1/nodes", { metadata: { name } })).json;
}

describe("a requested token", () => {
  test("is signed by a published key and has Kubernetes' claims", async () => {
    const { json, status } = await request({ audiences: ["istio-ca"], expirationSeconds: 1200 });
    expect(status).toBe(201);
    expect(json).toMatchObject({
      kind: "TokenRequest",
      apiVersion: "authentication.k8s.io/v1",
      spec: { audiences: ["istio-ca"], expirationSeconds: 1200 },
    });
    const configuration = (await server.ask("east", "/.well-known/openid-configuration")).json;
    expect(configuration).toMatchObject({ issuer, jwks_uri: `${issuer}/openid/v1/jwks` });
    const keys: JSONWebKeySet = (await server.ask("east", "/openid/v1/jwks")).json;
    expect(keys.keys.every((key) => key["d"] === undefined)).toBe(true);
    const { payload } = await jwtVerify(json.status.token, createLocalJWKSet(keys), {
      issuer,
      audience: "istio-ca",
      currentDate: new Date(now),
    });
    expect(payload.sub).toBe("system:serviceaccount:shop:reviews");
    expect(payload.exp! - payload.iat!).toBe(1200);
    expect(payload.nbf).toBe(payload.iat);
    expect(payload["kubernetes.io"]).toEqual({
      namespace: "shop",
      serviceaccount: { name: "reviews", uid: expect.any(String) as string },
    });
  });

  test("of one cluster means nothing in another", async () => {
    const path = "/apis/authentication.k8s.io/v1/tokenreviews";
    const body = { spec: { token: await tokenOf() } };
    const { json } = await server.ask("west", path, { method: "POST", body });
    expect(json.status).toMatchObject({ authenticated: false });
    expect((await server.ask("mesh", "/openid/v1/jwks")).status).toBe(404);
  });

  test("tells who its bearer is", async () => {
    const status = await review(await tokenOf());
    expect(status).toMatchObject({
      authenticated: true,
      user: {
        username: "system:serviceaccount:shop:reviews",
        groups: ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
        extra: { "authentication.kubernetes.io/credential-id": [expect.stringMatching(/^JTI=/)] },
      },
    });
    expect(status.audiences).toBeUndefined();
  });

  test("is good for its audiences alone", async () => {
    const token = await tokenOf({ audiences: ["istio-ca", "vault"] });
    expect(await review(token)).toMatchObject({ authenticated: false });
    expect(await review(token, ["vault", "other"])).toMatchObject({ authenticated: true, audiences: ["vault"] });
    expect(await review(token, ["other"])).toMatchObject({ authenticated: false });
  });

  test("ends when its time is over, and does not begin before", async () => {
    const token = await tokenOf({ expirationSeconds: 600 });
    now += 599_000;
    expect(await review(token)).toMatchObject({ authenticated: true });
    now += 2_000;
    expect(await review(token)).toMatchObject({
      authenticated: false,
      error: expect.stringContaining("exp") as string,
    });
    now -= 700_000;
    expect(await review(token)).toMatchObject({
      authenticated: false,
      error: expect.stringContaining("nbf") as string,
    });
    now += 99_000;
  });

  test("ends with the Pod that it is bound to, and names its node", async () => {
    const node = await makeNode("n1");
    const made = await makePod("bound", { nodeName: "n1" });
    const { uid } = made.metadata;
    const token = await tokenOf({ boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "bound", uid } });
    expect(decodeJwt(token)["kubernetes.io"]).toMatchObject({
      pod: { name: "bound", uid },
      node: { name: "n1", uid: node.metadata.uid },
    });
    expect((await review(token)).user.extra).toMatchObject({
      "authentication.kubernetes.io/pod-name": ["bound"],
      "authentication.kubernetes.io/pod-uid": [uid],
      "authentication.kubernetes.io/node-name": ["n1"],
    });
    const path = "/api/v1/namespaces/shop/pods/bound";
    await server.ask("east", path, { method: "DELETE", body: { gracePeriodSeconds: 0 } });
    expect(await review(token)).toMatchObject({ authenticated: false, error: "the Pod bound of the token is gone" });
    await makePod("bound");
    expect(await review(token)).toMatchObject({
      authenticated: false,
      error: "the Pod bound of the token was replaced by another",
    });
  });

  test("ends with the Node or the account that it is for", async () => {
    const { uid } = (await makeNode("n2")).metadata;
    const token = await tokenOf({ boundObjectRef: { kind: "Node", apiVersion: "v1", name: "n2", uid } });
    expect((await review(token)).user.extra).toMatchObject({
      "authentication.kubernetes.io/node-name": ["n2"],
      "authentication.kubernetes.io/node-uid": [uid],
    });
    await server.ask("east", "/api/v1/nodes/n2", { method: "DELETE" });
    expect(await review(token)).toMatchObject({ authenticated: false });

    const accounts = "/api/v1/namespaces/shop/serviceaccounts";
    await created(server, "east", accounts, { metadata: { name: "brief" } });
    const own: string = (await request({}, "brief")).json.status.token;
    await server.ask("east", `${accounts}/brief`, { method: "DELETE" });
    await created(server, "east", accounts, { metadata: { name: "brief" } });
    expect(await review(own)).toMatchObject({
      authenticated: false,
      error: "the ServiceAccount brief of the token was replaced by another",
    });
  });

  test.each([
    [{ expirationSeconds: 599 }, 422, "may not specify a duration less than 10 minutes"],
    [{ expirationSeconds: 2 ** 33 }, 422, "may not specify a duration larger than 2^32 seconds"],
    [{ expirationSeconds: 1.5 }, 422, "must be a whole number"],
    [{ audiences: [7] }, 422, "must be a list of texts"],
    [{ boundObjectRef: { kind: "Service", apiVersion: "v1", name: "x" } }, 400, "cannot bind token to object of type"],
    [{ boundObjectRef: { kind: "Pod", apiVersion: "v1", name: "none" } }, 404, 'pods "none" not found'],
    [{ boundObjectRef: { kind: "Pod", name: "other" } }, 400, "different serviceaccount name"],
    [{ boundObjectRef: { kind: "Pod", name: "own", uid: "another" } }, 409, "does not match the UID in record"],
  ])("is refused for %j", async (spec, code, message) => {
    const pods = "/api/v1/namespaces/shop/pods";
    await server.ask("east", pods, { method: "POST", body: pod("other") });
    await server.ask("east", pods, { method: "POST", body: pod("own", { serviceAccountName: "reviews" }) });
    const { status, json } = await request(spec);
    expect([status, json.message]).toEqual([code, expect.stringContaining(message)]);
  });

  test("lives a day at most, and needs its account", async () => {
    expect((await request({ expirationSeconds: 10 ** 6 })).json.spec.expirationSeconds).toBe(86_400);
    expect((await request({}, "nobody")).status).toBe(404);
  });
});

describe("what is no good token", () => {
  const claims = (): Record<string, unknown> => ({ ...decodeJwt(good), aud: issuer });
  let good: string;
  beforeAll(async () => {
    good = await tokenOf();
  });

  test("is refused: unsigned, of another key, tampered with", async () => {
    const { kid } = JSON.parse(Buffer.from(good.split(".")[0]!, "base64url").toString()) as { kid: string };
    const { privateKey } = await generateKeyPair("ES256");
    const forged = await new SignJWT(claims()).setProtectedHeader({ alg: "ES256", kid }).sign(privateKey);
    const secret = new TextEncoder().encode(JSON.stringify((await server.ask("east", "/openid/v1/jwks")).json));
    const confused = await new SignJWT(claims()).setProtectedHeader({ alg: "HS256", kid }).sign(secret);
    const [header, , signature] = good.split(".");
    const other = Buffer.from(JSON.stringify({ ...claims(), sub: "system:admin" })).toString("base64url");
    const bad = [new UnsecuredJWT(claims()).encode(), forged, confused, `${header}.${other}.${signature}`, `${good}x`];
    expect(await review(good)).toMatchObject({ authenticated: true });
    for (const token of bad) {
      expect(await review(token)).toMatchObject({ authenticated: false, error: expect.any(String) as string });
      expect(JSON.stringify(await review(token))).not.toContain(token);
    }
  });

  test("is refused however it is bent, and harms nobody", { timeout: 120_000 }, async () => {
    const bent = fc.oneof(
      fc.string({ minLength: 1, maxLength: 200 }),
      fc.tuple(fc.nat(good.length - 1), fc.integer({ min: 1, max: 255 })).map(([at, by]) => {
        const bytes = Buffer.from(good);
        bytes[at] = (bytes[at]! + by) % 256;
        return bytes.toString("latin1");
      }),
      fc
        .tuple(fc.json(), fc.json(), fc.string())
        .map((parts) => parts.map((part) => Buffer.from(part).toString("base64url")).join(".")),
    );
    const payload = (token: string): string => token.split(".").slice(0, 2).join(".");
    await fc.assert(
      fc.asyncProperty(bent, async (token) => {
        const { authenticated } = await review(token);
        // The last character of a signature has bits that mean nothing; what was signed must be the same.
        return authenticated === false || payload(token) === payload(good);
      }),
      { numRuns: runs(500) },
    );
    expect(await review(good)).toMatchObject({ authenticated: true });
  });
});

describe("keys of tokens", () => {
  const folder = mkdtempSync(join(tmpdir(), "weft-keys-"));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test("are kept for their owner alone, and survive the server", async () => {
    const stateDir = join(folder, "server");
    await using own = await startTestServer({ stateDir });
    const path = join(stateDir, "east", "token-keys.json");
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(statSync(join(stateDir, "east")).mode & 0o777).toBe(0o700);
    const before = (await own.ask("east", "/openid/v1/jwks")).text;
    await own.restart();
    expect((await own.ask("east", "/openid/v1/jwks")).text).toBe(before);
  });

  test("are followed by new ones that are published before they sign, and forgotten at last", async () => {
    let time = Date.now();
    const ticking: Clock = { ...systemClock, now: () => time };
    const keys = IssuerKeys.open(join(folder, "rotated.json"), ticking);
    const first = keys.signing.id;
    keys.rotate();
    expect([keys.signing.id, (await keys.jwks()).keys.length]).toEqual([first, 2]);
    time += 3 * 3600_000;
    const second = keys.signing.id;
    expect(second).not.toBe(first);
    expect(keys.find(first)).toBeDefined();
    time += 2 * 24 * 3600_000;
    keys.maintain();
    expect([keys.find(first), keys.signing.id]).toEqual([undefined, second]);
    time += 91 * 24 * 3600_000;
    keys.maintain();
    expect([(await keys.jwks()).keys.length, keys.signing.id]).toEqual([2, second]);
  });

  test("that are damaged stop the server, which says so and changes nothing", () => {
    const path = join(folder, "damaged.json");
    writeFileSync(path, '{"keys": [{"id": "a"');
    expect(() => IssuerKeys.open(path, systemClock)).toThrow(/token keys .*damaged/);
    expect(readFileSync(path, "utf8")).toBe('{"keys": [{"id": "a"');
  });
});

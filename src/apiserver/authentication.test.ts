import { X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, statSync, writeFileSync } from "node:fs";
import { once } from "node:events";
import { createServer, request as httpRequest, type IncomingMessage } from "node:http";
import { Agent as TlsAgent, createServer as createHttpsServer, request as httpsRequest } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { exportJWK, generateKeyPair, SignJWT } from "jose";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { systemClock, type Clock } from "#base/clock.ts";
import { opensslVerdict } from "#base/testing/openssl.ts";
import { OidcIssuer, type OidcOptions } from "./authentication/oidc.ts";
import { Authority } from "./pki/authority.ts";
import { created, pod } from "./testing/objects.ts";
import { startTestServer, tlsOf, type Json, type TestServer } from "./testing/server.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-authentication-"));
const socketPath = join(directory, "api.sock");
const stateDir = join(directory, "state");
const ada = { name: "ada", groups: ["dev", "ops"] };
const self = "/apis/authentication.k8s.io/v1/selfsubjectreviews";
let server: TestServer;

beforeAll(async () => {
  server = await startTestServer({
    access: {},
    stateDir,
    endpoints: [
      { name: "mesh", view: "mesh", partition: "mesh", listen: [{ host: "127.0.0.1", port: 0 }] },
      {
        name: "east",
        view: "cluster",
        partition: "cluster/east",
        listen: [{ host: "127.0.0.1", port: 0 }, { socketPath }],
      },
    ],
  });
});
afterAll(async () => {
  await server[Symbol.asyncDispose]();
  rmSync(directory, { recursive: true, force: true });
});

async function whoami(ask: Parameters<TestServer["ask"]>[2], endpoint = "east"): Promise<Json> {
  const { status, json } = await server.ask(endpoint, self, { method: "POST", body: {}, ...ask });
  return status === 201 ? json.status.userInfo : json;
}

async function readJson(response: IncomingMessage): Promise<Json> {
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return JSON.parse(text);
}

/** A request over the Unix socket, with TLS where settings are given. */
async function overSocket(headers: Record<string, string>, tls?: object): Promise<Json> {
  const options = { socketPath, path: self, method: "POST", agent: false, headers, servername: "localhost", ...tls };
  const sent = tls === undefined ? httpRequest(options) : httpsRequest(options);
  sent.end("{}");
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  const json = await readJson(response);
  return response.statusCode === 201 ? json.status.userInfo : json;
}

const unauthorized = {
  kind: "Status",
  apiVersion: "v1",
  metadata: {},
  status: "Failure",
  message: "Unauthorized",
  reason: "Unauthorized",
  code: 401,
};

describe("over TLS", () => {
  test("a client's certificate says who it is", async () => {
    const { extra, ...who } = await whoami({ as: ada });
    expect(who).toEqual({ username: "ada", groups: ["dev", "ops", "system:authenticated"] });
    expect(extra).toEqual({
      "authentication.kubernetes.io/credential-id": [expect.stringMatching(/^X509SHA256=[0-9a-f]{64}$/)],
    });
  });

  test("who shows no credential is refused, also health and documents", async () => {
    expect(await whoami({ as: null })).toEqual(unauthorized);
    for (const path of ["/livez", "/version", "/api", "/openapi/v2", "/openid/v1/jwks", "/nothing"]) {
      expect((await server.ask("east", path, { as: null })).json).toEqual(unauthorized);
    }
  });

  test("a certificate of another endpoint, of another authority, or for serving is refused", async () => {
    const ask = async (tls: object): Promise<Json> => {
      const sent = httpsRequest(server.url("east") + self, { method: "POST", agent: false, ...tls });
      sent.end("{}");
      const [response] = (await once(sent, "response")) as [IncomingMessage];
      return readJson(response);
    };
    const { certificate: ca } = server.server.authorities.get("east")!;
    const foreign = Authority.open(undefined, "east", systemClock);
    const mesh = tlsOf(server.server.authorities.get("mesh")!, { name: "admin", groups: ["system:masters"] });
    expect(await ask({ ...mesh, ca })).toEqual(unauthorized);
    expect(await ask({ ...tlsOf(foreign, { name: "admin", groups: ["system:masters"] }), ca })).toEqual(unauthorized);
    const { certificate: cert, key } = server.server.authorities.get("east")!.issueServing(["localhost"]);
    expect(await ask({ ca, cert, key })).toEqual(unauthorized);
    const over = server.server.authorities.get("east")!.issueClient(ada, -60_000);
    expect(await ask({ ca, cert: over.certificate, key: over.key })).toEqual(unauthorized);
  });

  test("a stranger's connection is closed, that of a client is kept", async () => {
    const agent = new TlsAgent({ keepAlive: true });
    const kept = async (as: typeof ada | null): Promise<unknown> =>
      (await server.ask("east", "/version", { as, agent })).headers.connection;
    expect(await kept(null)).toBe("close");
    expect(await kept(ada)).toBe("keep-alive");
    agent.destroy();
  });

  test("plain HTTP gets no answer", async () => {
    const { port } = new URL(server.url("east"));
    const sent = httpRequest({ host: "127.0.0.1", port, path: "/livez" }).end();
    await expect(once(sent, "response")).rejects.toThrow(/socket hang up|ECONNRESET/);
  });

  test("a service account's token says who it is, but none that is for others", async () => {
    const path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    const token = async (spec: object): Promise<string> => {
      const { status, json } = await server.ask("east", path, { method: "POST", body: { spec } });
      expect(status).toBe(201);
      return json.status.token;
    };
    // A namespace gets its account after it was made.
    const account = async (): Promise<number> => (await server.ask("east", path.replace("/token", ""))).status;
    await expect.poll(account, { timeout: 60_000 }).toBe(200);
    const bearer = (text: string): object => ({ as: null, headers: { Authorization: `Bearer ${text}` } });
    expect(await whoami(bearer(await token({})))).toMatchObject({ username: "system:serviceaccount:default:default" });
    expect(await whoami(bearer(await token({ audiences: ["istio-ca"] })))).toEqual(unauthorized);
    expect(await whoami(bearer("nonsense"))).toEqual(unauthorized);
    expect(await whoami({ as: null, headers: { Authorization: "Basic YWRtaW46YWRtaW4=" } })).toEqual(unauthorized);
  });

  test("why somebody was refused stands in the log once a minute, and nothing of what was shown", async () => {
    const since = server.log.length;
    const { privateKey } = await generateKeyPair("ES256");
    const issuer = ((await server.ask("east", "/.well-known/openid-configuration")).json as { issuer: string }).issuer;
    const forged = await new SignJWT({ secret: "word-of-the-token" })
      .setProtectedHeader({ alg: "ES256" })
      .setIssuer(issuer)
      .sign(privateKey);
    const shown = [forged, "word-of-nonsense", "Basic d29yZA=="];
    for (const text of [...shown, ...shown]) {
      const Authorization = text.startsWith("Basic") ? text : `Bearer ${text}`;
      expect(await whoami({ as: null, headers: { Authorization } })).toEqual(unauthorized);
    }
    const refusals = (from: number): readonly string[] =>
      server.log.slice(from).filter((line) => line.includes('"msg":"request refused"'));
    // Some were told of by earlier tests.
    const [all, lines] = [refusals(0).join("\n"), refusals(since)];
    expect(lines.length).toBeLessThan(4);
    expect(all).toContain("the token is not valid: it is signed by a key that this cluster does not have");
    expect(all).toContain("the token is of no issuer that is known here");
    expect(all).toContain("the authorization header holds no bearer token");
    const parts = [...forged.split("."), "word-of", "d29yZA"];
    for (const part of parts) expect(all).not.toContain(part);
  });
});

describe("over the Unix socket", () => {
  test("its owner is the local administrator", async () => {
    expect(await overSocket({})).toMatchObject({ username: "system:weft:local-administrator" });
  });

  test("a credential that is shown is what counts", async () => {
    expect(await overSocket({ Authorization: "Bearer nonsense" })).toEqual(unauthorized);
    const authority = server.server.authorities.get("east")!;
    expect(await overSocket({}, tlsOf(authority, ada))).toMatchObject({ username: "ada" });
    expect(await overSocket({}, tlsOf(authority, null))).toEqual(unauthorized);
  });
});

describe("impersonation", () => {
  const headers = { "Impersonate-User": "bob", "Impersonate-Group": ["dev"], "Impersonate-Extra-Scopes": ["a", "b"] };

  test("makes an administrator somebody else", async () => {
    expect(await whoami({ headers })).toEqual({
      username: "bob",
      groups: ["dev", "system:authenticated"],
      extra: { scopes: ["a", "b"] },
    });
    const account = { "Impersonate-User": "system:serviceaccount:shop:web" };
    expect(await whoami({ headers: account })).toMatchObject({
      groups: ["system:serviceaccounts", "system:serviceaccounts:shop", "system:authenticated"],
    });
  });

  test("needs the right to it, and a user", async () => {
    expect(await whoami({ as: ada, headers })).toMatchObject({
      code: 403,
      message: `users "bob" is forbidden: User "ada" cannot impersonate resource "users" in API group "" at the cluster scope`,
    });
    expect(await whoami({ headers: { "Impersonate-Group": "dev" } })).toMatchObject({ code: 400 });
  });
});

describe("what is not allowed", () => {
  test("is told in Kubernetes' words", async () => {
    const ask = async (path: string, method = "GET"): Promise<Json> =>
      (await server.ask("east", path, { as: ada, method })).json;
    expect(await ask("/api/v1/namespaces/default/pods")).toEqual({
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message: `pods is forbidden: User "ada" cannot list resource "pods" in API group "" in the namespace "default"`,
      reason: "Forbidden",
      details: { kind: "pods" },
      code: 403,
    });
    expect(await ask("/apis/apps/v1/namespaces/default/deployments/web", "DELETE")).toMatchObject({
      message: `deployments.apps "web" is forbidden: User "ada" cannot delete resource "deployments" in API group "apps" in the namespace "default"`,
      details: { name: "web", group: "apps", kind: "deployments" },
    });
    expect((await ask("/api/v1/nodes")).message).toContain("at the cluster scope");
    expect((await ask("/metrics")).message).toBe(`forbidden: User "ada" cannot get path "/metrics"`);
    expect((await ask("/api/v1/namespaces/default/pods/a/log")).message).toContain(`cannot get resource "pods/log"`);
  });
});

describe("what a request is passed on to", () => {
  test("never gets the credential", async () => {
    await created(server, "east", "/api/v1/namespaces/default/pods", pod("web"));
    const path = "/api/v1/namespaces/default/serviceaccounts/default/token";
    const { token } = (await server.ask("east", path, { method: "POST", body: {} })).json.status;
    const binding = { metadata: { name: "all" }, roleRef: { kind: "ClusterRole", name: "cluster-admin" } };
    const subjects = [{ kind: "ServiceAccount", name: "default", namespace: "default" }];
    await created(server, "east", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings", { ...binding, subjects });
    const agent = httpEcho(join(directory, "agent.sock"));
    await using _ = agent;
    const annotations = { "mesh.weft.dev/agent-socket": join(directory, "agent.sock") };
    await created(server, "east", "/api/v1/nodes", { metadata: { name: "n1", annotations } });
    const bound = { metadata: { name: "web" }, target: { kind: "Node", name: "n1" } };
    await created(server, "east", "/api/v1/namespaces/default/pods/web/binding", bound);
    const headers = { Authorization: `Bearer ${token}`, "X-Mine": "1" };
    const proxied = "/api/v1/namespaces/default/pods/web:8080/proxy/x";
    // Also not of who is known by the connection's certificate.
    for (const who of [{ as: null }, {}]) {
      const { json } = await server.ask("east", proxied, { ...who, headers });
      expect(json).toMatchObject({ "x-mine": "1" });
      expect(json.authorization).toBeUndefined();
    }
  });
});

/** A server that answers with the headers that it got. */
function httpEcho(path: string): AsyncDisposable {
  const echo = createServer((request, response) => response.end(JSON.stringify(request.headers))).listen(path);
  return {
    async [Symbol.asyncDispose]() {
      echo.close();
      echo.closeAllConnections();
      await once(echo, "close");
    },
  };
}

describe("the authority of an endpoint", () => {
  const folder = join(directory, "authority");

  test("is kept for its owner alone, and its key is made once", () => {
    const east = join(stateDir, "east");
    expect(statSync(east).mode & 0o777).toBe(0o700);
    for (const file of ["ca.key", "ca.crt"]) expect(statSync(join(east, file)).mode & 0o777).toBe(0o600);
    const first = Authority.open(folder, "east", systemClock).certificate;
    expect(Authority.open(folder, "east", systemClock).certificate).toBe(first);
  });

  test("is renewed with its key, so that old certificates and old trust go on", () => {
    let now = Date.now();
    const clock: Clock = { ...systemClock, now: () => now };
    const before = Authority.open(folder, "east", clock).certificate;
    const leaf = new X509Certificate(Authority.open(folder, "east", clock).issueClient(ada, 86_400_000).certificate);
    now += 7 * 365 * 86_400_000;
    const after = Authority.open(folder, "east", clock).certificate;
    expect(after).not.toBe(before);
    for (const text of [before, after]) {
      const authority = new X509Certificate(text);
      expect([leaf.checkIssued(authority), leaf.verify(authority.publicKey)]).toEqual([true, true]);
    }
  });

  test("signs what openssl verifies, each for its own end of a connection, also when it was renewed", () => {
    let now = Date.now();
    const clock: Clock = { ...systemClock, now: () => now };
    const own = join(directory, "verified");
    const authority = Authority.open(own, "east", clock);
    const serving = authority.issueServing(["api.east.test", "127.0.0.1", "::1"]).certificate;
    const client = authority.issueClient(ada, 30 * 86_400_000).certificate;
    const verdicts = (...options: readonly string[]): unknown =>
      [serving, client].map((leaf) =>
        ["sslserver", "sslclient"].map((end) =>
          opensslVerdict([leaf], Authority.open(own, "east", clock).certificate, "-purpose", end, ...options),
        ),
      );
    const unfit = "purpose";
    const expected = [
      ["OK", unfit],
      [unfit, "OK"],
    ];
    expect(verdicts()).toEqual(expected);
    const before = authority.certificate;
    for (const name of ["-verify_hostname=api.east.test", "-verify_ip=127.0.0.1", "-verify_ip=::1"]) {
      expect(opensslVerdict([serving], before, ...name.split("="))).toBe("OK");
    }
    expect(opensslVerdict([serving], before, "-verify_ip", "::2")).toBe("address");
    now += 7 * 365 * 86_400_000;
    expect(verdicts("-no_check_time")).toEqual(expected);
    expect(Authority.open(own, "east", clock).certificate).not.toBe(before);
    const stranger = Authority.open(undefined, "east", systemClock).certificate;
    expect(opensslVerdict([serving], stranger)).toBe("no issuer");
  });

  test("that is damaged stops the server", () => {
    Authority.open(folder, "east", systemClock);
    writeFileSync(join(folder, "ca.crt"), Authority.open(undefined, "east", systemClock).certificate);
    expect(() => Authority.open(folder, "east", systemClock)).toThrow(/not a certificate of the key/);
    writeFileSync(join(folder, "ca.key"), "nonsense");
    expect(() => Authority.open(folder, "east", systemClock)).toThrow(/holds no private key/);
  });
});

describe("tokens of an OpenID provider", () => {
  const issuer = "https://id.example";
  const clock = { ...systemClock, monotonic: () => time, now: () => 1_800_000_000_000 };
  let time = 0;
  let documents: Record<string, string>;
  let fetched: string[] = [];
  let sign: (claims: object, kid?: string) => Promise<string>;

  beforeAll(async () => {
    const { privateKey, publicKey } = await generateKeyPair("RS256");
    const key = { ...(await exportJWK(publicKey)), kid: "a", alg: "RS256" };
    documents = {
      [`${issuer}/.well-known/openid-configuration`]: JSON.stringify({ issuer, jwks_uri: `${issuer}/keys` }),
      [`${issuer}/keys`]: JSON.stringify({ keys: [key] }),
    };
    sign = (claims, kid = "a") =>
      new SignJWT({ iss: issuer, aud: "weft", sub: "ada", exp: 1_800_000_100, ...claims })
        .setProtectedHeader({ alg: "RS256", kid })
        .sign(privateKey);
  });

  function provider(options: Partial<OidcOptions> = {}): OidcIssuer {
    const fetchText = (url: string): Promise<string> => {
      fetched.push(url);
      const text = documents[url];
      return text === undefined ? Promise.reject(new Error("down")) : Promise.resolve(text);
    };
    fetched = [];
    return new OidcIssuer({ issuer, clientId: "weft", ...options }, fetchText, clock);
  }

  test("name users and groups, with prefixes", async () => {
    const token = await sign({ email: "ada@example.com", groups: ["dev"] });
    expect((await provider().verify(token)).user).toEqual({
      name: "https://id.example#ada",
      groups: ["system:authenticated"],
    });
    const options = { usernameClaim: "email", groupsClaim: "groups", groupsPrefix: "oidc:" };
    expect((await provider(options).verify(token)).user).toEqual({
      name: "ada@example.com",
      groups: ["oidc:dev", "system:authenticated"],
    });
    expect((await provider({ usernamePrefix: "-" }).verify(token)).user).toMatchObject({ name: "ada" });
  });

  test.each([
    ["for another client", { aud: "other" }, {}],
    ["of another issuer", { iss: "https://other.example" }, {}],
    ["that is over", { exp: 1_799_999_999 }, {}],
    ["that is not yet good", { nbf: 1_800_000_050 }, {}],
    ["without a user", { sub: "" }, {}],
    ["with an unverified email", { email: "a@b", email_verified: false }, { usernameClaim: "email" }],
    ["with groups that are none", { groups: [1] }, { groupsClaim: "groups" }],
    ["that claims to be the system", { groups: ["system:masters"] }, { groupsClaim: "groups" }],
    ["whose user claims to be the system", { sub: "system:node:a" }, { usernamePrefix: "-" }],
  ])("%s are refused", async (_, claims, options) => {
    await expect(provider(options).verify(await sign(claims))).rejects.toMatchObject({ code: "Unauthenticated" });
  });

  test("are refused while keys cannot be had, and asked for no oftener than every ten seconds", async () => {
    const token = await sign({});
    const kept = documents;
    const away = provider();
    documents = {};
    for (let i = 0; i < 5; i += 1) {
      await expect(away.verify(token)).rejects.toMatchObject({ code: "Unauthenticated" });
    }
    expect(fetched).toHaveLength(1);
    documents = kept;
    time += 11_000;
    expect(await away.verify(token)).toBeDefined();
    expect(await away.verify(token)).toBeDefined();
    expect(fetched).toHaveLength(3);
    for (let i = 0; i < 5; i += 1) {
      await expect(away.verify(await sign({}, "unknown"))).rejects.toMatchObject({ code: "Unauthenticated" });
    }
    expect(fetched).toHaveLength(3);
    documents = {};
    time += 601_000;
    await expect(away.verify(token)).rejects.toMatchObject({ code: "Unauthenticated" });
    documents = kept;
  });

  test.each([
    ["garbage", "<html>"],
    ["another issuer's", JSON.stringify({ issuer: "https://other", jwks_uri: "https://other/keys" })],
    ["one that leads off TLS", JSON.stringify({ issuer, jwks_uri: "http://id.example/keys" })],
  ])("are refused when the provider's configuration is %s", async (_, text) => {
    const kept = documents;
    documents = { ...documents, [`${issuer}/.well-known/openid-configuration`]: text };
    await expect(provider().verify(await sign({}))).rejects.toMatchObject({ code: "Unauthenticated" });
    documents = kept;
  });

  test("come in with a request, whose provider is reached over TLS", async () => {
    const authority = Authority.open(undefined, "id", systemClock);
    const { certificate, key } = authority.issueServing(["localhost"]);
    const serving = createHttpsServer({ cert: certificate, key }, (request, response) => {
      const path = `${issuer}${request.url}`;
      response.end((documents[path] ?? "").replaceAll(issuer, own));
    }).listen(0, "127.0.0.1");
    await once(serving, "listening");
    const own = `https://localhost:${(serving.address() as AddressInfo).port}`;
    const oidc = [{ issuer: own, clientId: "weft", groupsClaim: "groups", ca: authority.certificate }];
    await using secured = await startTestServer({ access: { oidc } });
    const token = await sign({ iss: own, groups: ["dev"], exp: Math.floor(Date.now() / 1000) + 60 });
    const headers = { Authorization: `Bearer ${token}` };
    const { json } = await secured.ask("mesh", self, { method: "POST", body: {}, as: null, headers });
    expect(json.status.userInfo).toMatchObject({ username: `${own}#ada`, groups: ["dev", "system:authenticated"] });
    serving.closeAllConnections();
    serving.close();
  });
});

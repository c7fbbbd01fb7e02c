import { createHmac, generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import { generateKeyPair, SignJWT, UnsecuredJWT } from "jose";
import { afterAll, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { jsonLogger } from "#base/logger.ts";
import { type Authority as TestAuthority, type Certificate, createAuthority } from "#base/testing/certificate.ts";
import { GrpcServer } from "#grpc/server.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "#proto/gen/istio/v1/auth/ca_pb.js";
import { type AuthorityFiles, makeAuthority, readAuthority } from "./authority.ts";
import { Callers } from "./callers.ts";
import type { Trust } from "./certificate-check.ts";
import { certificateMethods } from "./certificate-service.ts";
import { issue } from "./issue.ts";
import type { TokenApi } from "./issuer.ts";
import { defaultLifetimes } from "./settings.ts";
import { Signer } from "./signer.ts";
import { makeSigningRequest } from "./signing-request.ts";
import { TokenCluster } from "./testing/cluster.ts";
import { podDirectory } from "./testing/pods.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-csr-service-"));
const socketPath = join(folder, "xds.sock");
const name = "istiod.istio-system.svc";
const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const csr = makeSigningRequest(keys);
const pem = (key: typeof keys.privateKey): string => key.export({ type: "pkcs8", format: "pem" });

const pods = podDirectory({
  "east/shop/reviews-1": { uid: "r1", serviceAccount: "reviews", node: "east-1" },
  "east/shop/page-1": { uid: "p1", serviceAccount: "page", node: "east-2" },
  "west/shop/ratings-1": { uid: "x1", serviceAccount: "ratings", node: "east-1" },
  "east/istio-system/weft-agent-1": { uid: "a1", serviceAccount: "weft-agent", node: "east-1" },
});
const rules = {
  pods,
  accounts: [{ namespace: "istio-system", name: "weft-agent" }],
  trustDomains: { own: "cluster.local", aliases: ["old.mesh"] },
};

let [east, west]: TokenCluster[] = [];
let authority: AuthorityFiles;
/** What certificates are checked by. */
let trust: Trust;
/** Milliseconds that have passed for the service. */
let passed = 0;
/** How far the clock by which callers are checked is ahead. */
let ahead = 0;
let signer: Signer;
let server: GrpcServer;
let lines: string[] = [];

beforeAll(async () => {
  [east, west] = [await TokenCluster.create("https://east.test"), await TokenCluster.create("https://west.test")];
  authority = makeAuthority("P-256", "cluster.local", Date.now());
  signer = new Signer(systemClock);
  const { certificate: own, key } = leaf(name);
  trust = signer.use(authority);
  const clusters = new Map(
    [
      ["east", east],
      ["west", west],
    ].map(([cluster, api]) => [cluster as string, api as TokenCluster]),
  );
  const callers = new Callers({
    mesh: { trustDomains: () => rules.trustDomains, clusters: () => clusters, trust: () => trust },
    clock: { ...systemClock, now: () => Date.now() + ahead, monotonic: () => performance.now() + ahead },
  });
  const logger = jsonLogger({ level: "debug", write: (line) => lines.push(line), now: () => 0 });
  server = await GrpcServer.listen({
    listen: [{ socketPath, tls: true }],
    clock: systemClock,
    maxConcurrentStreams: 100,
    credentials: {
      current: { certificate: own, key, roots: [authority.roots] },
      onChange: () => ({ [Symbol.dispose]: () => undefined }),
    },
    methods: certificateMethods({
      callers,
      signer,
      roots: () => authority.roots,
      rules: () => rules,
      lifetimes: defaultLifetimes,
      rate: { perSecond: 1, burst: 40 },
      clock: { ...systemClock, monotonic: () => performance.now() + passed },
      logger,
    }),
  });
});

afterAll(async () => {
  server.close();
  server[Symbol.dispose]();
  await signer[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

beforeEach(() => {
  lines = [];
  // Reasons are logged once a minute.
  passed += 61_000;
});

/** A certificate of the mesh. */
function leaf(...names: readonly string[]): Certificate {
  const request = { csr, names, ttlMs: 3_600_000, now: Date.now() };
  return {
    certificate: issue(request, readAuthority(authority, Date.now())).chain.join(""),
    key: pem(keys.privateKey),
  };
}

interface Ask {
  readonly token?: string;
  readonly certificate?: Certificate;
  readonly cluster?: string;
  readonly csr?: string;
  readonly seconds?: bigint;
  readonly metadata?: Readonly<Record<string, string | number>>;
  readonly authorization?: string;
}

function ask(options: Ask): Promise<readonly string[]> {
  const {
    token,
    certificate,
    cluster,
    seconds = 0n,
    authorization = token === undefined ? undefined : `Bearer ${token}`,
  } = options;
  const pair = certificate
    ? ([Buffer.from(certificate.key), Buffer.from(certificate.certificate)] as const)
    : ([null, null] as const);
  const client = new Client(`unix:${socketPath}`, credentials.createSsl(Buffer.from(authority.roots), ...pair), {
    "grpc.ssl_target_name_override": name,
    "grpc.use_local_subchannel_pool": 1,
  });
  const metadata = new Metadata();
  if (authorization !== undefined) metadata.set("authorization", authorization);
  if (cluster !== undefined) metadata.set("clusterid", cluster);
  const message = create(IstioCertificateRequestSchema, {
    csr: options.csr ?? csr,
    validityDuration: seconds,
    ...(options.metadata && { metadata: options.metadata }),
  });
  return new Promise<readonly string[]>((resolve, reject) => {
    client.makeUnaryRequest(
      "/istio.v1.auth.IstioCertificateService/CreateCertificate",
      (request: typeof message) => Buffer.from(toBinary(IstioCertificateRequestSchema, request)),
      (bytes: Buffer) => fromBinary(IstioCertificateResponseSchema, bytes),
      message,
      metadata,
      { deadline: Date.now() + 20_000 },
      (error, response) => (error ? reject(error) : resolve(response?.certChain ?? [])),
    );
  }).finally(() => client.close());
}

function namesOf([certificate = ""]: readonly string[]): string | undefined {
  return new X509Certificate(certificate).subjectAltName;
}

/** What a call is refused with; nothing is issued, the reason is logged, and no secret with it. */
async function refusal(options: Ask): Promise<ServiceError> {
  const error = await ask(options).then(
    () => undefined,
    (fault: ServiceError) => fault,
  );
  if (!error) throw new Error("a certificate was issued");
  expect(lines.filter((line) => line.includes("no certificate was issued"))).toHaveLength(1);
  expect(lines.join()).not.toContain("a certificate was issued");
  for (const part of (options.token ?? "").split(".")) if (part.length > 10) expect(lines.join()).not.toContain(part);
  return error;
}

const seconds = (from: number): number => Math.floor(Date.now() / 1000) + from;
const [unauthenticated, permissionDenied, invalid] = [16, 7, 3];

describe("a workload's token", () => {
  test("gets a certificate of the workload, whatever the request names, with the roots last", async () => {
    const chain = await ask({ token: await east!.token() });
    expect(namesOf(chain)).toBe("URI:spiffe://cluster.local/ns/shop/sa/reviews");
    expect(new X509Certificate(chain[0] ?? "").publicKey.equals(keys.publicKey)).toBe(true);
    expect(chain.at(-1)).toBe(authority.roots);
    const { validToDate } = new X509Certificate(chain[0] ?? "");
    expect(Math.abs(validToDate.getTime() - Date.now() - 86_400_000)).toBeLessThan(60_000);
  });

  test("is taken of every cluster of the mesh, named or not", async () => {
    expect(namesOf(await ask({ token: await west!.token({ serviceAccount: "ratings" }) }))).toContain("/sa/ratings");
    expect(namesOf(await ask({ token: await west!.token(), cluster: "west" }))).toContain("/sa/reviews");
  });

  test("may ask for up to 90 days", async () => {
    const [certificate = ""] = await ask({ token: await east!.token(), seconds: 90n * 86_400n });
    const days = (new X509Certificate(certificate).validToDate.getTime() - Date.now()) / 86_400_000;
    expect(days).toBeGreaterThan(89.9);
    expect(days).toBeLessThanOrEqual(90.001);
  });

  test("that is bound to a Pod is taken while that Pod is there", async () => {
    const pod = { name: "reviews-1", uid: "r1" };
    expect(namesOf(await ask({ token: await east!.token({ pod }) }))).toContain("/sa/reviews");
  });
});

describe("tokens that are refused", () => {
  test.each<[string, () => Promise<Ask>, string]>([
    ["none", async () => ({}), "neither a token nor a certificate"],
    ["an empty one", async () => ({ authorization: "Bearer" }), "no bearer token"],
    ["a password", async () => ({ authorization: "Basic YTpi" }), "no bearer token"],
    ["a very long one", async () => ({ token: `a.${"b".repeat(17_000)}.c` }), "no bearer token"],
    ["what is none", async () => ({ token: "abc" }), "no JSON Web Token"],
    [
      "one that has expired",
      async () => ({ token: await east!.token({ claims: { exp: seconds(-60) } }) }),
      "has expired",
    ],
    [
      "one that is not yet valid",
      async () => ({ token: await east!.token({ claims: { nbf: seconds(60) } }) }),
      "claim nbf",
    ],
    ["one without an end", async () => ({ token: await east!.token({ claims: { exp: undefined } }) }), "claim exp"],
    ["one for another audience", async () => ({ token: await east!.token({ claims: { aud: "api" } }) }), "claim aud"],
    [
      "one without an audience",
      async () => ({ token: await east!.token({ claims: { aud: undefined } }) }),
      "claim aud",
    ],
    [
      "one of another issuer",
      async () => ({ token: await east!.token({ claims: { iss: "https://x.test" } }) }),
      "issuer is none",
    ],
    ["one of another cluster", async () => ({ token: await east!.token(), cluster: "west" }), "the cluster's issuer"],
    ["one of an unknown cluster", async () => ({ token: await east!.token(), cluster: "north" }), "not of this mesh"],
    [
      "one of a user",
      async () => ({ token: await east!.token({ claims: { sub: "admin" } }) }),
      "not that of a service account",
    ],
    [
      "one whose claims contradict it",
      async () => ({ token: await east!.token({ claims: { sub: "system:serviceaccount:shop:page" } }) }),
      "contradict",
    ],
    [
      "one of a Pod that is gone",
      async () => ({ token: await east!.token({ pod: { name: "reviews-2", uid: "r1" } }) }),
      "bound to a Pod",
    ],
    [
      "one of a Pod that was replaced",
      async () => ({ token: await east!.token({ pod: { name: "reviews-1", uid: "r0" } }) }),
      "bound to a Pod",
    ],
    [
      "one of another account's Pod",
      async () => ({ token: await east!.token({ pod: { name: "page-1", uid: "p1" } }) }),
      "bound to a Pod",
    ],
    [
      "one that is not signed",
      async () => {
        const claims = {
          iss: east!.issuer,
          sub: "system:serviceaccount:shop:reviews",
          aud: "istio-ca",
          exp: seconds(60),
        };
        return { token: new UnsecuredJWT(claims).encode() };
      },
      "algorithm that is not taken",
    ],
    [
      "one that anybody signed",
      async () => {
        const { privateKey } = await generateKeyPair("ES256");
        const jwt = new SignJWT({
          iss: east!.issuer,
          sub: "system:serviceaccount:shop:reviews",
          aud: "istio-ca",
          exp: seconds(60),
        });
        return { token: await jwt.setProtectedHeader({ alg: "ES256", kid: "first" }).sign(privateKey) };
      },
      "not signed by the cluster's issuer",
    ],
    [
      "one that is signed with the public key as a secret",
      async () => {
        const {
          keys: [key],
        } = (await east!.json({ path: "/openid/v1/jwks" })) as { keys: object[] };
        const [head, body] = [
          { alg: "HS256", kid: "first" },
          { iss: east!.issuer, sub: "system:serviceaccount:shop:reviews", aud: "istio-ca", exp: seconds(60) },
        ];
        const text = [head, body].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
        return { token: `${text}.${createHmac("sha256", JSON.stringify(key)).update(text).digest("base64url")}` };
      },
      "algorithm that is not taken",
    ],
  ])("%s", async (_name, options, says) => {
    expect(await refusal(await options())).toMatchObject({
      code: unauthenticated,
      details: expect.stringContaining(says) as string,
    });
  });
});

describe("keys of tokens", () => {
  test("that are new are found, those that are gone are not taken, and a flood of unknown ones asks for none", async () => {
    const cluster = await TokenCluster.create("https://rotating.test");
    let now = 1_000_000;
    const clock = { ...systemClock, monotonic: () => now };
    const mesh = {
      trustDomains: () => rules.trustDomains,
      clusters: () => new Map([["one", cluster]]),
      trust: () => trust,
    };
    const callers = new Callers({ mesh, clock });
    const of = async (token: string): Promise<unknown> =>
      callers.of({ headers: { authorization: `Bearer ${token}` }, certificate: undefined });
    const old = await cluster.token();
    await of(old);
    await cluster.rotate("second");
    const fresh = await cluster.token();
    now += 6_000;
    await expect(of(fresh)).resolves.toMatchObject({ serviceAccount: "reviews", cluster: "one" });
    await expect(of(old)).rejects.toMatchObject({ code: "Unauthenticated" });
    const asked = cluster.asked.length;
    await cluster.rotate("third");
    const unknown = await cluster.token();
    for (let count = 0; count < 20; count++) await expect(of(unknown)).rejects.toThrow("does not have");
    expect(cluster.asked.length - asked).toBeLessThanOrEqual(2);
  });

  test("are kept while the cluster is away; without any, callers are told to come again", async () => {
    const cluster = await TokenCluster.create("https://away.test");
    cluster.away = true;
    let now = 1_000_000;
    const clock = { ...systemClock, monotonic: () => now };
    const mesh = {
      trustDomains: () => rules.trustDomains,
      clusters: () => new Map([["one", cluster]]),
      trust: () => trust,
    };
    const callers = new Callers({ mesh, clock });
    const token = await cluster.token();
    const of = async (): Promise<unknown> =>
      callers.of({ headers: { authorization: `Bearer ${token}` }, certificate: undefined });
    await expect(of()).rejects.toMatchObject({ code: "Unavailable" });
    cluster.away = false;
    now += 6_000;
    await of();
    cluster.away = true;
    now += 3_600_000;
    await of();
    await expect(of()).resolves.toMatchObject({ serviceAccount: "reviews" });
  });
});

describe("a certificate of the mesh", () => {
  test("is renewed by itself, one of an alias of the trust domain too", async () => {
    const own = leaf("spiffe://cluster.local/ns/shop/sa/reviews");
    expect(namesOf(await ask({ certificate: own }))).toBe("URI:spiffe://cluster.local/ns/shop/sa/reviews");
    const old = leaf("spiffe://old.mesh/ns/shop/sa/reviews");
    expect(namesOf(await ask({ certificate: old }))).toBe("URI:spiffe://cluster.local/ns/shop/sa/reviews");
  });

  test.each<[string, () => Certificate, string]>([
    ["another authority", () => createAuthority("other").issue("spiffe://cluster.local/ns/shop/sa/reviews"), "neither"],
    ["another trust domain", () => leaf("spiffe://other.mesh/ns/shop/sa/reviews"), "of this mesh"],
    ["a server", () => leaf("istiod.istio-system.svc"), "of this mesh"],
    [
      "two workloads",
      () => leaf("spiffe://cluster.local/ns/shop/sa/reviews", "spiffe://cluster.local/ns/shop/sa/page"),
      "of this mesh",
    ],
  ])("of %s is none", async (_name, certificate, says) => {
    expect(await refusal({ certificate: certificate() })).toMatchObject({
      code: unauthenticated,
      details: expect.stringContaining(says) as string,
    });
  });

  test("does not help who shows a bad token with it", async () => {
    const certificate = leaf("spiffe://cluster.local/ns/shop/sa/reviews");
    expect(await refusal({ certificate, token: "a.b.c" })).toMatchObject({ code: unauthenticated });
  });
});

const reviews = "spiffe://cluster.local/ns/shop/sa/reviews";
const agent = { namespace: "istio-system", serviceAccount: "weft-agent" };

describe("a node's agent", () => {
  test("gets certificates of Pods of its node, in its cluster", async () => {
    const metadata = { ImpersonatedIdentity: reviews };
    const byNode = await east!.token({ ...agent, node: "east-1" });
    expect(namesOf(await ask({ token: byNode, metadata }))).toBe(`URI:${reviews}`);
    const byPod = await east!.token({ ...agent, pod: { name: "weft-agent-1", uid: "a1" } });
    expect(namesOf(await ask({ token: byPod, metadata }))).toBe(`URI:${reviews}`);
  });

  test.each<[string, () => Promise<Ask>, number, string]>([
    [
      "on another node",
      async () => ({ token: await east!.token({ ...agent, node: "east-2" }) }),
      permissionDenied,
      "runs on the caller's node",
    ],
    [
      "in another cluster",
      async () => ({ token: await west!.token({ ...agent, node: "east-1" }) }),
      permissionDenied,
      "runs on the caller's node",
    ],
    ["of no node", async () => ({ token: await east!.token(agent) }), permissionDenied, "not a node's agent"],
    [
      "by a workload",
      async () => ({ token: await east!.token({ node: "east-1" }) }),
      permissionDenied,
      "not a node's agent",
    ],
    [
      "of that name elsewhere",
      async () => ({ token: await east!.token({ ...agent, namespace: "shop", node: "east-1" }) }),
      permissionDenied,
      "not a node's agent",
    ],
    [
      "with a certificate, which says nothing of a node",
      async () => ({ certificate: leaf("spiffe://cluster.local/ns/istio-system/sa/weft-agent") }),
      permissionDenied,
      "not a node's agent",
    ],
  ])("%s gets none", async (_name, options, code, says) => {
    const refused = await refusal({ ...(await options()), metadata: { ImpersonatedIdentity: reviews } });
    expect(refused).toMatchObject({ code, details: expect.stringContaining(says) as string });
  });

  test.each(["reviews", "spiffe://other.mesh/ns/shop/sa/reviews", `${reviews},spiffe://cluster.local/ns/shop/sa/page`])(
    "is refused the identity %s",
    async (wanted) => {
      const token = await east!.token({ ...agent, node: "east-1" });
      expect(await refusal({ token, metadata: { ImpersonatedIdentity: wanted } })).toMatchObject({ code: invalid });
    },
  );
});

describe("requests that are refused", () => {
  test.each<[string, Partial<Ask>]>([
    ["without a signing request", { csr: "" }],
    ["with junk", { csr: "-----BEGIN CERTIFICATE REQUEST-----\nAAAA\n-----END CERTIFICATE REQUEST-----" }],
    [
      "with another's signature",
      { csr: makeSigningRequest({ ...keys, publicKey: generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey }) },
    ],
    ["with a weak key", { csr: makeSigningRequest(generateKeyPairSync("rsa", { modulusLength: 1024 })) }],
    ["with too much", { csr: `${csr}${" ".repeat(17_000)}` }],
    ["for more than 90 days", { seconds: 90n * 86_400n + 1n }],
    ["for as long as there are numbers", { seconds: 2n ** 63n - 1n }],
  ])("%s", async (_name, options) => {
    expect(await refusal({ token: await east!.token(), ...options })).toMatchObject({ code: invalid });
  });

  test("because there are too many of one caller", async () => {
    const token = await east!.token({ serviceAccount: "greedy" });
    const codes = await Promise.all(
      Array.from({ length: 80 }, async () => ask({ token, csr: "none" }).catch(({ code }: ServiceError) => code)),
    );
    expect(codes.filter((code) => Number(code) === 8).length).toBeGreaterThan(0);
    expect(namesOf(await ask({ token: await east!.token() }))).toBe(`URI:${reviews}`);
  });

  test("because a cluster is away that might know the token", async () => {
    const away = await TokenCluster.create("https://gone.test");
    away.away = true;
    const mesh = {
      trustDomains: () => rules.trustDomains,
      clusters: () =>
        new Map([
          ["east", east!],
          ["away", away],
        ]),
      trust: () => trust,
    };
    const callers = new Callers({ mesh, clock: systemClock });
    const headers = { authorization: `Bearer ${await away.token()}` };
    await expect(callers.of({ headers, certificate: undefined })).rejects.toMatchObject({ code: "Unavailable" });
  });
});

test("a token that no cluster is named for is shown to that whose keys signed it, and to no other", async () => {
  const [own, stranger] = [
    await TokenCluster.create("https://same.test"),
    await TokenCluster.create("https://same.test"),
  ];
  const reviewing = (cluster: TokenCluster) => {
    const posted: unknown[] = [];
    const json = async (request: Parameters<TokenApi["json"]>[0]): Promise<unknown> => {
      if (request.method === "GET") return cluster.json(request);
      posted.push(request.body);
      const user = { username: "system:serviceaccount:shop:reviews" };
      return { status: { authenticated: true, audiences: ["istio-ca"], user } };
    };
    return { posted, json };
  };
  const [other, right] = [reviewing(stranger), reviewing(own)];
  const clusters = new Map(Object.entries({ other, right }));
  const mesh = { trustDomains: () => rules.trustDomains, clusters: () => clusters, trust: () => trust };
  const known = new Callers({ mesh, clock: systemClock, tokens: "review" });
  const headers = { authorization: `Bearer ${await own.token()}` };
  await expect(known.of({ headers, certificate: undefined })).resolves.toMatchObject({ cluster: "right" });
  expect([other.posted.length, right.posted.length]).toEqual([0, 1]);
});

describe("a certificate that was good once", () => {
  const reviews = "spiffe://cluster.local/ns/shop/sa/reviews";
  /** Certificates that are checked by lists, which the test's authority has not. */
  const listed = (made: TestAuthority, ...revoked: readonly string[]): Trust => {
    const root = new X509Certificate(made.certificate);
    return { roots: [root], path: [root], revoked: made.revoke(...revoked) };
  };
  /** What comes of calls one after the other on the same connection, with something done between them. */
  const callers = (current: () => Trust): Callers => {
    const clusters = new Map([["east", east!]]);
    const clock = { ...systemClock, now: () => Date.now() + ahead, monotonic: () => performance.now() + ahead };
    return new Callers({
      mesh: { trustDomains: () => rules.trustDomains, clusters: () => clusters, trust: current },
      clock,
    });
  };
  const refused = (says: string) => ({ code: "Unauthenticated", message: expect.stringContaining(says) as string });

  test("and is revoked, or was issued by what is, is refused, also for a renewal", async () => {
    const root = createAuthority("root");
    const below = root.subordinate("below");
    const [own, other, under] = [root.issue(reviews), root.issue(reviews), below.issue(reviews)].map(
      ({ certificate }) => new X509Certificate(certificate),
    );
    const signer = new X509Certificate(below.certificate);
    let current = listed(root);
    const known = callers(() => ({ ...current, path: [signer, ...current.path] }));
    const of = async (certificate: X509Certificate | undefined): Promise<unknown> =>
      known.of({ headers: {}, certificate });
    for (const each of [own, other, under])
      await expect(of(each)).resolves.toMatchObject({ serviceAccount: "reviews" });
    current = listed(root, String(own));
    await expect(of(own)).rejects.toMatchObject(refused("it is revoked"));
    await of(other);
    current = listed(root, String(signer));
    await expect(of(under)).rejects.toMatchObject(refused("it is revoked"));
    await of(own);
  });

  test("and whose root is trusted no more is refused on connections from before", async () => {
    const [before, after] = [createAuthority("before"), createAuthority("after")];
    const certificate = new X509Certificate(before.issue(reviews).certificate);
    let current = listed(before);
    const known = callers(() => current);
    await known.of({ headers: {}, certificate });
    current = listed(after);
    await expect(known.of({ headers: {}, certificate })).rejects.toMatchObject(refused("no root that is trusted"));
  });

  test("and whose account is gone from all clusters gets no other, while its API is away as before", async () => {
    const certificate = leaf("spiffe://cluster.local/ns/shop/sa/leaver");
    expect(namesOf(await ask({ certificate }))).toContain("/sa/leaver");
    east!.gone.add("shop/leaver");
    west!.gone.add("shop/leaver");
    ahead += 10_001;
    lines = [];
    const details = expect.stringContaining("no cluster of the mesh has the service account shop/leaver") as string;
    expect(await refusal({ certificate })).toMatchObject({ code: unauthenticated, details });
    const [one, away] = [await TokenCluster.create("https://one.test"), await TokenCluster.create("https://two.test")];
    one.gone.add("shop/reviews");
    let now = 0;
    const mesh = {
      trustDomains: () => rules.trustDomains,
      clusters: () => new Map(Object.entries({ one, away })),
      trust: () => trust,
    };
    const known = new Callers({ mesh, clock: { ...systemClock, monotonic: () => now } });
    const call = { headers: {}, certificate: new X509Certificate(leaf(reviews).certificate) };
    away.away = true;
    await expect(known.of(call)).rejects.toMatchObject({ code: "Unavailable" });
    away.away = false;
    await known.of(call);
    away.away = true;
    now += 3_600_000;
    await known.of(call);
  });

  test("and has ended is refused on a connection that goes on", async () => {
    const certificate = leaf(reviews);
    const pair = [Buffer.from(certificate.key), Buffer.from(certificate.certificate)] as const;
    const client = new Client(`unix:${socketPath}`, credentials.createSsl(Buffer.from(authority.roots), ...pair), {
      "grpc.ssl_target_name_override": name,
      "grpc.use_local_subchannel_pool": 1,
    });
    const code = (): Promise<number> =>
      new Promise((resolve) => {
        client.makeUnaryRequest(
          "/istio.v1.auth.IstioCertificateService/CreateCertificate",
          (message: object) =>
            Buffer.from(toBinary(IstioCertificateRequestSchema, create(IstioCertificateRequestSchema, message))),
          (bytes: Buffer) => bytes,
          { csr },
          new Metadata(),
          (error) => resolve(error?.code ?? 0),
        );
      });
    const before = ahead;
    expect(await code()).toBe(0);
    ahead += 3_600_001;
    expect(await code()).toBe(unauthenticated);
    ahead = before;
    client.close();
  });
});

/** The mesh's authority, its roots in all clusters, and who is served over TLS, with tokens that embedded clusters issue. */
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client as GrpcClient, credentials, Metadata } from "@grpc/grpc-js";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { namespace } from "#api/kubernetes/namespace.ts";
import { node } from "#api/kubernetes/node.ts";
import { pod } from "#api/kubernetes/pod.ts";
import { type Secret, secret } from "#api/kubernetes/secret.ts";
import { serviceAccount } from "#api/kubernetes/service-account.ts";
import { cluster } from "#api/weft/cluster.ts";
import { Authority } from "#agent/certificates/authority.ts";
import { ControlPlane } from "#agent/control-plane.ts";
import { startTestServer, type TestServer } from "#apiserver/testing/server.ts";
import { systemClock } from "#base/clock.ts";
import { jsonLogger, silentLogger } from "#base/logger.ts";
import { opensslVerdict } from "#base/testing/openssl.ts";
import { makeAuthority } from "#identity/authority.ts";
import { defaultLifetimes } from "#identity/settings.ts";
import { makeSigningRequest } from "#identity/signing-request.ts";
import { Client } from "#kube/client.ts";
import { Connection } from "#kube/connection.ts";
import { typeUrls } from "#proto/encoded.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "#proto/gen/istio/v1/auth/ca_pb.js";
import { DeltaStream } from "#xds/testing/grpc-client.ts";
import { eventually } from "../support/eventually.ts";
import { startDiscovery } from "./discovery.ts";

const directory = mkdtempSync(join(tmpdir(), "weft-identity-"));
const path = (name: string): string => join(directory, name);
const stack = new AsyncDisposableStack();
const logged: string[] = [];
let server: TestServer;
let mesh: Client;
let east: Client;
let west: Client;

const ownSecret = { namespace: "istio-system", name: "istio-ca-secret" };
const rootMap = (in_: string) => ({ namespace: in_, name: "istio-ca-root-cert" });
const caller = { namespace: "shop", serviceAccount: "reviews" };
const tls = (replica: number) => ({ socketPath: path(`tls-${replica}.sock`), tls: true });
const plain = { socketPath: path("plain.sock") };

function discover(
  replica: number,
  tokens: "keys" | "review",
  more: readonly { readonly socketPath: string }[] = [],
): void {
  const logger = jsonLogger({ level: "debug", write: (line) => void logged.push(line), now: () => 0 });
  const nodeAccounts = [{ namespace: "istio-system", name: "weft-agent" }];
  const identity = {
    names: ["istiod.istio-system.svc"],
    authorityKey: "P-256",
    nodeAccounts,
    tokens,
    lifetimes: defaultLifetimes,
  } as const;
  const sockets = { xds: [tls(replica), ...more], statusSocket: path(`status-${replica}.sock`) };
  stack.use(startDiscovery(server, directory, { ...sockets, identity }, logger));
}

async function workloads(api: Client, on: string, ...names: readonly string[]): Promise<void> {
  await api.of(node).create({ metadata: { name: on } });
  for (const name of names) {
    await api.of(serviceAccount).create({ metadata: { namespace: "shop", name } });
    await api.of(pod).create({
      metadata: { namespace: "shop", name: `${name}-1`, labels: { app: name } },
      spec: { nodeName: on, serviceAccountName: name, containers: [{ name: "main", image: "web" }] },
    });
  }
}

beforeAll(async () => {
  const tcp = { host: "127.0.0.1", port: 0 };
  const clusters = ["east", "west"].map((name, index) => ({
    name,
    view: "cluster" as const,
    partition: `cluster/${name}`,
    listen: [tcp, { socketPath: path(`${name}.sock`) }],
    serviceRange: `10.1${index}0.0.0/16`,
    namespaces: ["default", "kube-system", "istio-system", "shop"],
    accounts: [{ namespace: "istio-system", name: "weft-agent" }],
  }));
  server = stack.use(
    await startTestServer({
      endpoints: [{ name: "mesh", view: "mesh", partition: "mesh", listen: [tcp] }, ...clusters],
    }),
  );
  const api = (endpoint: string): Client =>
    new Client(stack.use(new Connection({ url: server.url(endpoint) }, { clock: systemClock })));
  [mesh, east, west] = [api("mesh"), api("east"), api("west")];
  for (const { name } of clusters) {
    await mesh.of(cluster).create({ metadata: { name }, spec: { server: `unix://${path(`${name}.sock`)}` } });
  }
  await workloads(east, "east-1", "reviews");
  await workloads(east, "east-2", "page");
  await workloads(west, "west-1", "ratings");
  // Two replicas that find no authority at the same time.
  discover(1, "keys", [plain]);
  discover(2, "review");
  for (const replica of [1, 2]) {
    await eventually(`replica ${replica} serves`, () =>
      logged.filter((line) => line.includes("serving proxies")).length >= replica ? true : undefined,
    );
  }
}, 90_000);

afterAll(async () => {
  await stack.disposeAsync();
  rmSync(directory, { recursive: true, force: true });
});

/** A token of a service account, for `istio-ca` unless told. */
async function token(
  api: Client,
  account = caller,
  bound?: { readonly kind: string; readonly name: string },
  audience = "istio-ca",
): Promise<string> {
  const { status } = await api.json<{ status: { token: string } }>({
    method: "POST",
    path: `/api/v1/namespaces/${account.namespace}/serviceaccounts/${account.serviceAccount}/token`,
    body: { spec: { audiences: [audience], ...(bound && { boundObjectRef: { apiVersion: "v1", ...bound } }) } },
  });
  return status.token;
}

const agent = { namespace: "istio-system", serviceAccount: "weft-agent" };
const agentToken = (api: Client, name: string): Promise<string> => token(api, agent, { kind: "Node", name });

async function rootsIn(api: Client, name: string): Promise<string | undefined> {
  return (await api.of<ConfigMap>(configMap).find(rootMap(name)))?.data?.["root-cert.pem"];
}

async function publishedRoots(): Promise<string> {
  return eventually("the roots are published", async () => rootsIn(east, "shop"));
}

function metadataOf(bearer?: string): Metadata {
  const metadata = new Metadata();
  if (bearer !== undefined) metadata.set("authorization", `Bearer ${bearer}`);
  return metadata;
}

const named = { "grpc.ssl_target_name_override": "istiod.istio-system.svc" };

/** Asks for a certificate, with the roots that the clusters publish. */
async function certify(
  replica: number,
  bearer?: string,
  identity?: string,
): Promise<{ chain: readonly string[]; key: string }> {
  const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const roots = credentials.createSsl(Buffer.from(await publishedRoots()));
  using client = Object.assign(new GrpcClient(`unix:${tls(replica).socketPath}`, roots, named), {
    [Symbol.dispose]() {
      client.close();
    },
  });
  const request = create(IstioCertificateRequestSchema, {
    csr: makeSigningRequest(keys),
    ...(identity !== undefined && { metadata: { ImpersonatedIdentity: identity } }),
  });
  const { certChain } = await new Promise<{ certChain: string[] }>((resolve, reject) => {
    client.makeUnaryRequest(
      "/istio.v1.auth.IstioCertificateService/CreateCertificate",
      () => Buffer.from(toBinary(IstioCertificateRequestSchema, request)),
      (bytes: Buffer) => fromBinary(IstioCertificateResponseSchema, bytes),
      request,
      metadataOf(bearer),
      { deadline: Date.now() + 20_000 },
      (error, response) => (error || !response ? reject(error ?? new Error("no answer")) : resolve(response)),
    );
  });
  return { chain: certChain, key: keys.privateKey.export({ type: "pkcs8", format: "pem" }) };
}

function namesOf({ chain: [certificate = ""] }: { readonly chain: readonly string[] }): string | undefined {
  return new X509Certificate(certificate).subjectAltName;
}

describe("the mesh's authority", () => {
  test("is made once, for all replicas, under Istio's keys", async () => {
    const { data = {}, type } = await mesh.of<Secret>(secret).get(ownSecret);
    expect(type).toBe("istio.io/ca-root");
    const at = (key: string): string => Buffer.from(data[key] ?? "", "base64").toString();
    expect(new X509Certificate(at("ca-cert.pem")).subject).toBe("O=cluster.local");
    expect(at("ca-key.pem")).toContain("PRIVATE KEY");
    const roots = await publishedRoots();
    expect(roots).toBe(at("root-cert.pem"));
    for (const replica of [1, 2]) {
      const { chain } = await certify(replica, await token(east));
      expect(opensslVerdict(chain.slice(0, 1), roots, "-purpose", "sslclient")).toBe("OK");
    }
    expect(logged.join()).not.toContain("PRIVATE KEY");
  });

  test("publishes its roots in every namespace of every cluster, and mends what is changed or deleted", async () => {
    const roots = await publishedRoots();
    for (const [api, name] of [
      [east, "default"],
      [west, "shop"],
      [west, "istio-system"],
    ] as const) {
      await eventually(`the roots are in ${name}`, async () => (await rootsIn(api, name)) === roots);
    }
    expect(await rootsIn(east, "kube-system")).toBeUndefined();
    await west.of(namespace).create({ metadata: { name: "later" } });
    await eventually("a new namespace has them", async () => (await rootsIn(west, "later")) === roots);
    await east
      .of(configMap)
      .patch(rootMap("shop"), { kind: "merge", body: { data: { "root-cert.pem": "mine", other: "kept" } } });
    await eventually("what is changed is mended", async () => (await rootsIn(east, "shop")) === roots);
    expect((await east.of<ConfigMap>(configMap).get(rootMap("shop"))).data).toMatchObject({ other: "kept" });
    await east.of(configMap).delete(rootMap("shop"));
    await eventually("what is deleted is back", async () => (await rootsIn(east, "shop")) === roots);
  });
});

describe("certificates", () => {
  test("are for whom the clusters' tokens say", async () => {
    const bound = await token(east, caller, { kind: "Pod", name: "reviews-1" });
    expect(namesOf(await certify(1, bound))).toBe("URI:spiffe://cluster.local/ns/shop/sa/reviews");
    const ratings = await token(west, { namespace: "shop", serviceAccount: "ratings" });
    expect(namesOf(await certify(2, ratings))).toBe("URI:spiffe://cluster.local/ns/shop/sa/ratings");
    await expect(certify(1, await token(east, caller, undefined, "api"))).rejects.toMatchObject({ code: 16 });
    await expect(certify(1)).rejects.toMatchObject({ code: 16 });
  });

  test("are for nobody whose account is gone, where each token is reviewed", async () => {
    await east.of(serviceAccount).create({ metadata: { namespace: "shop", name: "short" } });
    const bearer = await token(east, { namespace: "shop", serviceAccount: "short" });
    expect(namesOf(await certify(2, bearer))).toBe("URI:spiffe://cluster.local/ns/shop/sa/short");
    await east.of(serviceAccount).delete({ namespace: "shop", name: "short" });
    await expect(certify(2, bearer)).rejects.toMatchObject({ code: 16 });
    await expect(certify(2, "a.b.c")).rejects.toMatchObject({ code: 16 });
    await expect(certify(2, await token(east, caller, undefined, "api"))).rejects.toMatchObject({ code: 16 });
    // By keys alone nobody can know that.
    expect(namesOf(await certify(1, bearer))).toBe("URI:spiffe://cluster.local/ns/shop/sa/short");
  });

  test("are for the Pods of an agent's own node", async () => {
    const reviews = "spiffe://cluster.local/ns/shop/sa/reviews";
    expect(namesOf(await certify(1, await agentToken(east, "east-1"), reviews))).toBe(`URI:${reviews}`);
    expect(namesOf(await certify(2, await agentToken(east, "east-1"), reviews))).toBe(`URI:${reviews}`);
    await expect(certify(2, await agentToken(east, "east-2"), reviews)).rejects.toMatchObject({ code: 7 });
    await expect(certify(1, await agentToken(east, "east-2"), reviews)).rejects.toMatchObject({ code: 7 });
    await expect(certify(1, await agentToken(west, "west-1"), reviews)).rejects.toMatchObject({ code: 7 });
    await expect(certify(1, await token(east), reviews)).rejects.toMatchObject({ code: 7 });
  });
});

describe("a node's agent as it is", () => {
  test("gets certificates of Pods of its node with the roots that its cluster publishes, and is told why it gets no others", async () => {
    const [rootsFile, tokenFile, serverName] = [
      path("agent-roots.pem"),
      path("agent-token"),
      "istiod.istio-system.svc",
    ];
    writeFileSync(rootsFile, await publishedRoots());
    writeFileSync(tokenFile, await agentToken(east, "east-1"));
    const plane = new ControlPlane({
      address: `unix:${tls(2).socketPath}`,
      trust: { rootsFile, tokenFile, serverName },
      logger: silentLogger,
    });
    using asking = new Authority({ plane, cluster: "east", ttlMs: 3_600_000, clock: systemClock });
    const { chain, roots } = await asking.issue({ trustDomain: "cluster.local", ...caller });
    expect(namesOf({ chain: [chain] })).toBe("URI:spiffe://cluster.local/ns/shop/sa/reviews");
    expect(roots.join("")).toBe(await publishedRoots());
    const page = { trustDomain: "cluster.local", namespace: "shop", serviceAccount: "page" };
    await expect(asking.issue(page)).rejects.toMatchObject({
      code: "PermissionDenied",
      message: expect.stringContaining("no Pod of that service account runs on the caller's node") as string,
    });
  });
});

interface Claim {
  readonly pod?: string;
  readonly namespace?: string;
  readonly cluster?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly metadataNamespace?: string;
}

/** A stream that says that it is a proxy: how it ended, or that it is served. */
async function stream(
  bearer: string | undefined,
  claim: Claim,
  own?: { readonly chain: readonly string[]; readonly key: string },
): Promise<string | number> {
  const {
    pod: name = "reviews-1",
    namespace: place = "shop",
    cluster: home = "east",
    labels = { app: "reviews" },
  } = claim;
  const pair = own ? ([Buffer.from(own.key), Buffer.from(own.chain[0] ?? "")] as const) : ([null, null] as const);
  const channel = credentials.createSsl(Buffer.from(await publishedRoots()), ...pair);
  using proxy = new DeltaStream(
    { socketPath: tls(1).socketPath },
    { channel, options: named, metadata: metadataOf(bearer) },
  );
  proxy.ask({
    node: {
      id: `sidecar~10.0.0.1~${name}.${place}~${place}.svc.cluster.local`,
      metadata: { NAMESPACE: claim.metadataNamespace ?? place, CLUSTER_ID: home, LABELS: labels },
    },
    typeUrl: typeUrls.cluster,
  });
  await eventually("an answer", () => proxy.responses.length > 0 || proxy.ended !== undefined);
  return proxy.ended?.code ?? "served";
}

describe("xDS over TLS", () => {
  const [unauthenticated, permissionDenied] = [16, 7];

  test.each<[string, () => Promise<string | undefined>, Claim, string | number]>([
    ["a workload its own proxy", () => token(east), {}, "served"],
    ["a Pod its own proxy", () => token(east, caller, { kind: "Pod", name: "reviews-1" }), {}, "served"],
    ["an agent a proxy of its node", () => agentToken(east, "east-1"), {}, "served"],
    ["an agent another proxy of its cluster", () => agentToken(east, "east-2"), {}, permissionDenied],
    ["an agent a proxy of another cluster", () => agentToken(west, "west-1"), {}, permissionDenied],
    ["nobody a proxy", async () => undefined, {}, unauthenticated],
    ["junk a proxy", async () => "a.b.c", {}, unauthenticated],
    ["a token for the API a proxy", () => token(east, caller, undefined, "api"), {}, unauthenticated],
    ["a workload another's proxy", () => token(east), { pod: "page-1" }, permissionDenied],
    ["a workload a Pod that is not there", () => token(east), { pod: "reviews-2" }, permissionDenied],
    ["a workload a proxy of another cluster", () => token(east), { cluster: "west" }, permissionDenied],
    ["a workload a proxy of no cluster", () => token(east), { cluster: "" }, permissionDenied],
    [
      "a workload another namespace's configuration",
      () => token(east),
      { metadataNamespace: "istio-system" },
      permissionDenied,
    ],
    ["a workload another namespace's proxy", () => token(east), { namespace: "default" }, permissionDenied],
  ])("%s", async (_name, bearer, claim, outcome) => {
    const before = logged.length;
    expect(await stream(await bearer(), claim)).toBe(outcome);
    const told = logged
      .slice(before)
      .filter((line) => /an xDS stream was (refused|ended)/.test(line) && line.includes('"code"'));
    if (outcome !== "served") expect(told).toHaveLength(1);
  });

  test("a certificate of the mesh opens its own proxy's stream, and no other", async () => {
    const own = await certify(1, await token(east));
    expect(await stream(undefined, {}, own)).toBe("served");
    expect(await stream(undefined, { pod: "page-1" }, own)).toBe(permissionDenied);
  });

  test("plain text stays what it was, on a Unix socket alone", async () => {
    using proxy = new DeltaStream(plain);
    proxy.ask({
      node: {
        id: "sidecar~10.0.0.1~any-1.shop~shop.svc.cluster.local",
        metadata: { NAMESPACE: "shop", CLUSTER_ID: "east" },
      },
      typeUrl: typeUrls.cluster,
    });
    await eventually("an answer", () => proxy.responses.length > 0);
  });
});

describe("other roots", () => {
  const base64 = (text: string): string => Buffer.from(text).toString("base64");
  /** Writes some of the authority's files. */
  const write = (files: Readonly<Record<string, string>>): Promise<unknown> => {
    const data = Object.fromEntries(Object.entries(files).map(([key, text]) => [key, base64(text)]));
    return mesh.of(secret).patch(ownSecret, { kind: "merge", body: { data } });
  };
  const published = (roots: string): Promise<unknown> =>
    eventually(
      "the roots are published",
      async () => (await rootsIn(west, "shop")) === roots && (await rootsIn(east, "shop")) === roots,
    );
  const says = (text: string): Promise<unknown> =>
    eventually(`it is logged that ${text}`, () => logged.some((line) => line.includes(text)));
  const issuedBy = async (root: string): Promise<boolean> => {
    const { chain } = await certify(1, await token(east));
    return new X509Certificate(chain[0] ?? "").verify(new X509Certificate(root).publicKey);
  };

  test("replace those of before in three steps, and whoever was served is served until the last", async () => {
    const old = await publishedRoots();
    const next = makeAuthority("P-256", "cluster.local", Date.now());
    const held = await certify(1, await token(east));
    await write({ "root-cert.pem": old + next.roots });
    await published(old + next.roots);
    expect(await issuedBy(old)).toBe(true);
    await write({ "ca-cert.pem": next.certificate, "ca-key.pem": next.key, "root-cert.pem": next.roots + old });
    await published(next.roots + old);
    await eventually("the new one signs", async () => issuedBy(next.roots));
    expect(await stream(undefined, {}, held)).toBe("served");
    const renewed = await certify(1, await token(east));
    await write({ "root-cert.pem": next.roots });
    await published(next.roots);
    await eventually("the old one is not trusted", async () => (await stream(undefined, {}, held)) === 16);
    expect(await stream(undefined, {}, renewed)).toBe("served");
  });

  test("are not taken when they break trust, nor is what cannot sign", async () => {
    const before = await publishedRoots();
    const other = makeAuthority("P-256", "cluster.local", Date.now());
    await write({ "root-cert.pem": other.roots });
    await says("its roots are not those of before");
    await write({ "root-cert.pem": before, "ca-key.pem": other.key });
    await says("does not belong to the key");
    expect(await rootsIn(west, "shop")).toBe(before);
    expect(await issuedBy(before)).toBe(true);
    const told = logged.filter((line) => line.includes("does not belong to the key"));
    expect(told.length).toBeLessThanOrEqual(2);
  });
});

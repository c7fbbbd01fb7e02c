/** Requests for certificates of any form, and tokens of any form, at the real service over TLS. */
import { generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { create, fromBinary, toBinary } from "@bufbuild/protobuf";
import { Client, credentials, Metadata, type ServiceError } from "@grpc/grpc-js";
import * as fc from "fast-check";
import { afterAll, beforeAll, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { pem } from "#base/der.ts";
import { jsonLogger } from "#base/logger.ts";
import { bytesInUse } from "#base/testing/memory.ts";
import { patience, runs } from "#base/testing/runs.ts";
import { GrpcServer } from "#grpc/server.ts";
import { IstioCertificateRequestSchema, IstioCertificateResponseSchema } from "#proto/gen/istio/v1/auth/ca_pb.js";
import { makeAuthority, readAuthority } from "./authority.ts";
import { Callers } from "./callers.ts";
import { certificateMethods } from "./certificate-service.ts";
import { issue } from "./issue.ts";
import { onlyBlock } from "./pem.ts";
import { defaultLifetimes } from "./settings.ts";
import { Signer } from "./signer.ts";
import { makeSigningRequest } from "./signing-request.ts";
import { TokenCluster } from "./testing/cluster.ts";
import { podDirectory } from "./testing/pods.ts";

const ok = 0;
const invalidArgument = 3;
const permissionDenied = 7;
const unauthenticated = 16;

/** Bytes that may be in use after any number of requests more than before them. */
const mostGrowth = 30 * 1024 * 1024;

const service = "istiod.istio-system.svc";
const trustDomains = { own: "cluster.local", aliases: [] };
const ecKeys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const rsaKeys = generateKeyPairSync("rsa", { modulusLength: 2048 });
// By their bytes: Node's own comparison of keys of two types leaves a fault behind that the next connection of the thread finds.
const spki = (key: KeyObject): string => key.export({ type: "spki", format: "pem" });
const known = [ecKeys, rsaKeys].map(({ publicKey }) => spki(publicKey));
const requests = [makeSigningRequest(ecKeys), makeSigningRequest(rsaKeys)];
const ders = requests.map((text) => onlyBlock(text, ["CERTIFICATE REQUEST"]));

const folder = mkdtempSync(join(tmpdir(), "weft-fuzz-identity-"));
const cleanup = new AsyncDisposableStack();
const authority = makeAuthority("P-256", "cluster.local", Date.now());
let cluster: TokenCluster;
let client: Client;
/** What was logged since the last call. */
let logged: string[] = [];

beforeAll(async () => {
  cleanup.defer(() => rmSync(folder, { recursive: true, force: true }));
  cluster = await TokenCluster.create("https://east.test");
  const signer = cleanup.use(new Signer(systemClock));
  signer.use(authority);
  const own = { csr: requests[0] ?? "", names: [service], ttlMs: 3_600_000, now: Date.now() };
  const certificate = issue(own, readAuthority(authority, Date.now())).chain.join("");
  const key = ecKeys.privateKey.export({ type: "pkcs8", format: "pem" });
  const callers = new Callers({
    mesh: {
      trustDomains: () => trustDomains,
      clusters: () => new Map([["east", cluster]]),
      trust: () => readAuthority(authority, Date.now()),
    },
    clock: systemClock,
  });
  const socketPath = join(folder, "ca.sock");
  const server = await GrpcServer.listen({
    listen: [{ socketPath, tls: true }],
    clock: systemClock,
    maxConcurrentStreams: 100,
    credentials: {
      current: { certificate, key, roots: [authority.roots] },
      onChange: () => ({ [Symbol.dispose]: () => undefined }),
    },
    methods: certificateMethods({
      callers,
      signer,
      roots: () => authority.roots,
      rules: () => ({ pods: podDirectory({}), accounts: [], trustDomains }),
      lifetimes: defaultLifetimes,
      rate: { perSecond: 1e9, burst: 1e9 },
      clock: systemClock,
      logger: jsonLogger({ level: "debug", write: (line) => logged.push(line), now: () => 0 }),
    }),
  });
  cleanup.defer(() => {
    server.close();
    server[Symbol.dispose]();
  });
  client = new Client(`unix:${socketPath}`, credentials.createSsl(Buffer.from(authority.roots)), {
    "grpc.ssl_target_name_override": service,
  });
  cleanup.defer(() => client.close());
});

afterAll(() => cleanup.disposeAsync());

/** How a call ended. */
interface Outcome {
  readonly code: number;
  readonly chain: readonly string[];
}

function call(message: Uint8Array, headers: Readonly<Record<string, string>>): Promise<Outcome> {
  logged = [];
  const metadata = new Metadata();
  for (const [name, value] of Object.entries(headers)) metadata.set(name, value);
  const { promise, resolve } = Promise.withResolvers<Outcome>();
  client.makeUnaryRequest(
    "/istio.v1.auth.IstioCertificateService/CreateCertificate",
    (bytes: Uint8Array) => Buffer.from(bytes),
    (bytes: Buffer) => fromBinary(IstioCertificateResponseSchema, bytes),
    message,
    metadata,
    { deadline: Date.now() + 30_000 },
    (error: ServiceError | null, response) =>
      resolve(error ? { code: error.code, chain: [] } : { code: ok, chain: response?.certChain ?? [] }),
  );
  return promise;
}

/** A certificate that was issued is for the caller and nobody else, for a key that asked, and for no longer than it may be. */
function checkIssued([leaf = ""]: readonly string[], account: string): void {
  const certificate = new X509Certificate(leaf);
  expect(certificate.subjectAltName).toBe(`URI:spiffe://cluster.local/ns/${account}`);
  expect(known).toContain(spki(certificate.publicKey));
  expect(certificate.validToDate.getTime() - Date.now()).toBeLessThanOrEqual(defaultLifetimes.mostMs);
}

/** Bytes with some changed, left out, put in twice or made to say that they are long. */
function bent(original: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = fc.oneof(
    fc.record({ kind: fc.constant("set" as const), at: fc.nat(), byte: fc.integer({ min: 0, max: 255 }) }),
    fc.record({ kind: fc.constantFrom("cut" as const, "twice" as const), at: fc.nat(), length: fc.nat(40) }),
    fc.record({ kind: fc.constant("end" as const), at: fc.nat() }),
    fc.record({ kind: fc.constant("long" as const), at: fc.nat() }),
  );
  return fc.tuple(original, fc.array(change, { maxLength: 4 })).map(([bytes, changes]) => {
    let made = Buffer.from(bytes);
    for (const each of changes) {
      const at = each.at % Math.max(1, made.length);
      const [before, after] = [made.subarray(0, at), made.subarray(at)];
      if (each.kind === "set") made = Buffer.concat([before, Buffer.from([each.byte]), after.subarray(1)]);
      else if (each.kind === "cut") made = Buffer.concat([before, after.subarray(each.length)]);
      else if (each.kind === "twice") made = Buffer.concat([before, after.subarray(0, each.length), after]);
      else if (each.kind === "end") made = Buffer.from(before);
      else made = Buffer.concat([before, Buffer.from([0x84, 0xff, 0xff, 0xff, 0xff]), after.subarray(1)]);
    }
    return made;
  });
}

const label = fc.constantFrom("CERTIFICATE REQUEST", "NEW CERTIFICATE REQUEST", "CERTIFICATE", "PRIVATE KEY");
const csr = fc.oneof(
  { weight: 1, arbitrary: fc.constantFrom(...requests) },
  {
    weight: 4,
    arbitrary: fc.tuple(label, bent(fc.constantFrom(...ders))).map(([name, bytes]) => pem(name, bytes)),
  },
  { weight: 2, arbitrary: bent(fc.constantFrom(...requests.map((text) => Buffer.from(text)))).map(String) },
  {
    weight: 1,
    arbitrary: fc.uint8Array({ maxLength: 400 }).map((bytes) => pem("CERTIFICATE REQUEST", Buffer.from(bytes))),
  },
  { weight: 1, arbitrary: fc.string({ unit: "binary", maxLength: 200 }) },
  { weight: 1, arbitrary: fc.nat(20_000).map((length) => "-----BEGIN CERTIFICATE REQUEST-----".repeat(length / 35)) },
);
const identity = fc.oneof(
  fc.constantFrom("spiffe://cluster.local/ns/shop/sa/reviews", "spiffe://cluster.local/ns/istio-system/sa/istiod", ""),
  fc.string({ unit: "binary", maxLength: 60 }),
);
const metadata = fc.oneof(
  fc.constant({}),
  fc.dictionary(fc.string(), fc.jsonValue({ maxDepth: 3 }), { maxKeys: 4 }),
  fc.oneof(identity, fc.jsonValue()).map((value) => ({ ImpersonatedIdentity: value })),
);
const seconds = fc.oneof(fc.constant(0n), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }));
const request = fc
  .record({ csr, metadata, validityDuration: seconds })
  .map((fields) =>
    Buffer.from(toBinary(IstioCertificateRequestSchema, create(IstioCertificateRequestSchema, fields as object))),
  );

test(
  "whatever is asked for: a certificate of the caller's own, or none, and the service goes on",
  async () => {
    const headers = { authorization: `Bearer ${await cluster.token()}` };
    const codes = new Set<number>();
    await call(
      toBinary(IstioCertificateRequestSchema, create(IstioCertificateRequestSchema, { csr: requests[0] ?? "" })),
      headers,
    );
    const before = bytesInUse();
    await fc.assert(
      fc.asyncProperty(fc.oneof({ weight: 3, arbitrary: request }, bent(request)), async (message) => {
        const { code, chain } = await call(message, headers);
        codes.add(code);
        if (code === ok) checkIssued(chain, "shop/sa/reviews");
        else expect([invalidArgument, permissionDenied]).toContain(code);
      }),
      { numRuns: runs(500) },
    );
    expect(codes).toEqual(new Set([ok, invalidArgument, permissionDenied]));
    // Buffers that are garbage are given back a little later than all else.
    await expect.poll(() => bytesInUse() - before, { timeout: 60_000 }).toBeLessThan(mostGrowth);
  },
  patience(60_000),
);

/** A claim as it should be, one that is nearly so, and any value. */
function claim(...values: readonly unknown[]): fc.Arbitrary<unknown> {
  return fc.oneof(
    { weight: 12, arbitrary: fc.constant(values[0]) },
    { weight: 3, arbitrary: fc.constantFrom(...values) },
    { weight: 1, arbitrary: fc.jsonValue({ maxDepth: 2 }) },
  );
}

const now = Math.floor(Date.now() / 1000);
const claims = fc.record(
  {
    iss: claim("https://east.test", "https://west.test"),
    sub: claim("system:serviceaccount:shop:page", "system:serviceaccount:shop", "system:serviceaccount:a:b:c", "admin"),
    aud: claim("istio-ca", ["a", "istio-ca"], ["a"]),
    exp: claim(now + 36_000, now - 3_600, 1e300, undefined),
    nbf: claim(now, now + 36_000),
    "kubernetes.io": claim(
      { namespace: "shop" },
      { namespace: "shop", serviceaccount: { name: "page" } },
      { namespace: "shop", pod: { name: "p", uid: "u" }, node: { name: 1 } },
    ),
  },
  { requiredKeys: [] },
);
const header = fc.record(
  {
    alg: claim("ES256", "none", "HS256", "RS256", "ES512"),
    kid: claim("first", "second", ""),
    typ: claim("JWT"),
    crit: claim(["b64"], []),
    b64: claim(false, true),
    jwk: claim({ kty: "oct", k: "AQ" }),
    jku: claim("http://127.0.0.1:1/keys"),
  },
  { requiredKeys: [] },
);
const part = (value: unknown): string => Buffer.from(JSON.stringify(value) ?? "").toString("base64url");

/** A token, and whether the cluster's own key has signed it. */
interface MadeToken {
  readonly text: string;
  readonly signed: boolean;
}

/** Tokens of any form; those that are signed say what they like. */
async function tokens(): Promise<fc.Arbitrary<() => Promise<MadeToken>>> {
  const good = await cluster.token();
  const unsigned = (text: string) => (): Promise<MadeToken> => Promise.resolve({ text, signed: false });
  return fc.oneof(
    claims.map((each) => async () => ({ text: await cluster.token({ claims: each }), signed: true })),
    fc
      .tuple(fc.nat(good.length - 2), fc.constantFrom(..."AZaz09-_.=+/ ".split("")))
      .filter(([at, character]) => good[at] !== character)
      .map(([at, character]) => unsigned(good.slice(0, at) + character + good.slice(at + 1))),
    fc
      .tuple(header, claims, fc.uint8Array({ maxLength: 80 }))
      .map(([head, said, bytes]) =>
        unsigned(`${part(head)}.${part(said)}.${Buffer.from(bytes).toString("base64url")}`),
      ),
    fc
      .array(
        fc.json().map((text) => Buffer.from(text).toString("base64url")),
        { maxLength: 6 },
      )
      .map((all) => unsigned(all.join("."))),
    fc.string({ maxLength: 200 }).map((text) => unsigned(text)),
  );
}

test(
  "whatever token is shown: the account that its cluster has signed for, or nobody, and no word of it in the log",
  async () => {
    const message = toBinary(
      IstioCertificateRequestSchema,
      create(IstioCertificateRequestSchema, { csr: requests[0] ?? "" }),
    );
    const named = fc.constantFrom(undefined, "east", "north", "__proto__");
    const codes = new Set<number>();
    await call(message, { authorization: `Bearer ${await cluster.token()}` });
    const before = bytesInUse();
    await fc.assert(
      fc.asyncProperty(await tokens(), named, async (make, clusterid) => {
        const { text, signed } = await make();
        const headers = { authorization: `Bearer ${text}`, ...(clusterid !== undefined && { clusterid }) };
        const { code, chain } = await call(message, headers);
        codes.add(code);
        for (const piece of text.split(".")) if (piece.length > 20) expect(logged.join()).not.toContain(piece);
        if (code !== ok) {
          expect(code).toBe(unauthenticated);
          return;
        }
        expect(signed).toBe(true);
        const said = JSON.parse(Buffer.from(text.split(".")[1] ?? "", "base64url").toString()) as Record<
          string,
          unknown
        >;
        expect([said["iss"], [said["aud"]].flat().includes("istio-ca"), clusterid ?? "east"]).toEqual([
          cluster.issuer,
          true,
          "east",
        ]);
        expect(Number(said["exp"])).toBeGreaterThan(now);
        checkIssued(chain, String(said["sub"]).replace(/^system:serviceaccount:([^:]*):/, "$1/sa/"));
      }),
      { numRuns: runs(500) },
    );
    expect(codes).toEqual(new Set([ok, unauthenticated]));
    // Buffers that are garbage are given back a little later than all else.
    await expect.poll(() => bytesInUse() - before, { timeout: 60_000 }).toBeLessThan(mostGrowth);
  },
  patience(60_000),
);

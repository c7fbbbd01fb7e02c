/**
 * TLS at a gateway as other programs see it: `openssl s_client` and `curl`. Names of groups are those of Istio's reference "Gateway".
 */
import { createHash, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { type Certificate, createAuthority } from "#base/testing/certificate.ts";
import { type Called, curl, type Fetched, type Handshake, opensslClient } from "./tls-clients.ts";
import { World } from "./world.ts";

const root = createAuthority("root");
const intermediate = root.subordinate("intermediate");
const clients = createAuthority("clients");
const strangers = createAuthority("strangers");

let world: World;
let folder: string;

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function secret(name: string, contents: Readonly<Record<string, string>>): string {
  const data = Object.fromEntries(Object.entries(contents).map(([key, text]) => [key, base64(text)]));
  return JSON.stringify({
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name, namespace: "edge" },
    type: "Opaque",
    data,
  });
}

const pair = ({ certificate, key }: Certificate) => ({ "tls.crt": certificate, "tls.key": key });

const known = clients.issue("known.client");
const banned = clients.issue("banned.client");
const expired = clients.issueFor({ names: ["known.client"], until: new Date(Date.now() - 60_000) });
/** Certificates that callers show. */
const shown = {
  known,
  banned,
  expired,
  foreign: strangers.issue("known.client"),
} as const;

const leaf = intermediate.issue("chain.test");
const ca = { "ca.crt": clients.certificate };
const hash = createHash("sha256").update(new X509Certificate(known.certificate).raw).digest("hex");

const secrets = {
  // Envoy takes of several certificates those that are for the name, by what the caller can verify.
  ecdsa: pair(root.issue("ecdsa.test", "both.test")),
  rsa: pair(root.issueFor({ names: ["rsa.test", "both.test"], rsa: 2048 })),
  p384: pair(root.issueFor({ names: ["p384.test"], curve: "secp384r1" })),
  wild: pair(root.issue("*.wild.test")),
  chain: { "tls.crt": `${leaf.certificate}${intermediate.certificate}`, "tls.key": leaf.key },
  leaf: pair(leaf),
  mutual: { ...pair(root.issue("mutual.test")), ...ca, "ca.crl": clients.revoke(banned.certificate) },
  named: { ...pair(root.issue("named.test")), ...ca },
} as const;

const sha1 = "ECDHE-ECDSA-AES128-SHA";

/** TLS of each server, all on one port, by its host. */
const servers = {
  "ecdsa.test": "mode: SIMPLE, credentialName: ecdsa",
  "rsa.test": "mode: SIMPLE, credentialName: rsa",
  "p384.test": "mode: SIMPLE, credentialName: p384",
  "*.wild.test": "mode: SIMPLE, credentialName: wild",
  "chain.test": "mode: SIMPLE, credentialName: chain",
  "leaf.test": "mode: SIMPLE, credentialName: leaf",
  "both.test": "mode: SIMPLE, credentialNames: [rsa, ecdsa]",
  "old.test": `mode: SIMPLE, credentialName: ecdsa, minProtocolVersion: TLSV1_0, maxProtocolVersion: TLSV1_1, cipherSuites: [${sha1}]`,
  "new.test": "mode: SIMPLE, credentialName: ecdsa, minProtocolVersion: TLSV1_3",
  "most.test": "mode: SIMPLE, credentialName: ecdsa, maxProtocolVersion: TLSV1_2",
  "one.test": "mode: SIMPLE, credentialName: ecdsa, cipherSuites: [ECDHE-ECDSA-CHACHA20-POLY1305]",
  "mutual.test": "mode: MUTUAL, credentialName: mutual",
  "named.test": "mode: MUTUAL, credentialName: named, subjectAltNames: [known.client]",
  "hashed.test": `mode: MUTUAL, credentialName: named, verifyCertificateHash: ["${hash}"]`,
  "optional.test": "mode: OPTIONAL_MUTUAL, credentialName: mutual",
  "careless.test": "mode: OPTIONAL_MUTUAL, credentialName: mutual, insecureSkipVerify: true",
} as const;

type Host = keyof typeof servers | `${string}.wild.test` | "nobody.test" | "ECDSA.Test" | "";

const port = 8443;

function gateway(): string {
  const lines = Object.entries(servers).map(
    ([host, tls], at) =>
      `    - { port: { number: ${port}, name: s${at}, protocol: HTTPS }, hosts: ["${host}"], tls: { ${tls} } }`,
  );
  return `
apiVersion: networking.istio.io/v1
kind: Gateway
metadata: { name: edge, namespace: edge }
spec:
  selector: { istio: ingress }
  servers:
    - { port: { number: 8080, name: http, protocol: HTTP }, hosts: ["*"], tls: { httpsRedirect: true } }
${lines.join("\n")}
---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: page, namespace: edge }
spec: { hosts: ["*"], gateways: [edge], http: [{ directResponse: { status: 200, body: { string: here } } }] }`;
}

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "weft-gateway-tls-"));
  const write = (name: string, text: string): void => writeFileSync(join(folder, name), text);
  for (const [name, { certificate, key }] of Object.entries(shown)) {
    write(`${name}.crt`, certificate);
    write(`${name}.key`, key);
  }
  write("root.crt", root.certificate);
  world = await World.start("gt", {
    proxies: [{ name: "edge", type: "router", namespace: "edge", labels: { istio: "ingress" } }],
    services: [],
    istio: [gateway()],
    kubernetes: { east: Object.entries(secrets).map(([name, contents]) => secret(name, contents)) },
  });
});

afterAll(async () => {
  await (world as World | undefined)?.[Symbol.asyncDispose]();
  rmSync(folder, { recursive: true, force: true });
});

function called(at = port): Called {
  return { namespace: world.outsideNamespace, address: world.addressOf("edge"), port: at };
}

/** Arguments for openssl that show a certificate; `@` stands for the folder. */
function shows(who: keyof typeof shown): readonly string[] {
  return ["-cert", `@${who}.crt`, "-key", `@${who}.key`];
}

async function handshake(host: Host, args: readonly string[] = []): Promise<Handshake> {
  return opensslClient(
    called(),
    host,
    ["-CAfile", "@root.crt", ...args].map((arg) => (arg.startsWith("@") ? join(folder, arg.slice(1)) : arg)),
  );
}

type Row = readonly [Host, readonly string[], Handshake];

const suites = { first: "TLS_AES_256_GCM_SHA384", chosen: "ECDHE-ECDSA-CHACHA20-POLY1305" } as const;

/** What comes of a handshake in TLS 1.3 or 1.2 that ends in an answer. */
function answered(subject: string, version: "TLSv1.3" | "TLSv1.2" = "TLSv1.3", cipher?: string): Handshake {
  const suite = cipher ?? (version === "TLSv1.3" ? suites.first : suites.chosen);
  return { version, cipher: suite, subject, verified: "OK", status: "200" };
}

/** Of a client certificate servers say only after their own part of the handshake in TLS 1.3 what they think. */
function refusedLater(subject: string, refused: string): Handshake {
  return { version: "TLSv1.3", cipher: suites.first, subject, verified: "OK", refused };
}

/** Lets openssl speak what it takes for too old. */
const lax = ["-cipher", "ALL:@SECLEVEL=0"] as const;

const [aes, rsaAes] = ["ECDHE-ECDSA-AES128-GCM-SHA256", "ECDHE-RSA-AES128-GCM-SHA256"] as const;

const tables: Readonly<Record<string, readonly Row[]>> = {
  "Server hosts": [
    ["ecdsa.test", [], answered("ecdsa.test")],
    ["rsa.test", [], answered("rsa.test")],
    ["ECDSA.Test", [], answered("ecdsa.test")],
    ["any.wild.test", [], answered("*.wild.test")],
    ["deep.any.wild.test", [], answered("*.wild.test")],
    ["nobody.test", [], { refused: "closed" }],
    ["", [], { refused: "closed" }],
  ],
  "ServerTLSSettings minProtocolVersion and maxProtocolVersion": [
    // TLS 1.2 is the oldest unless told.
    ["ecdsa.test", ["-tls1_2"], answered("ecdsa.test", "TLSv1.2")],
    ["ecdsa.test", ["-tls1_1", ...lax], { refused: "protocol version" }],
    ["new.test", [], answered("ecdsa.test")],
    ["new.test", ["-tls1_2"], { refused: "protocol version" }],
    ["most.test", [], answered("ecdsa.test", "TLSv1.2")],
    ["most.test", ["-tls1_3"], { refused: "protocol version" }],
    ["old.test", ["-tls1", ...lax], { ...answered("ecdsa.test"), version: "TLSv1", cipher: sha1 }],
    ["old.test", ["-tls1_1", ...lax], { ...answered("ecdsa.test"), version: "TLSv1.1", cipher: sha1 }],
    // The server's choice is none that the caller speaks.
    ["old.test", ["-tls1_2", ...lax], { refused: "unsupported protocol" }],
  ],
  "ServerTLSSettings cipherSuites": [
    ["one.test", ["-tls1_2"], answered("ecdsa.test", "TLSv1.2")],
    ["one.test", ["-tls1_2", "-cipher", aes], { refused: "handshake failure" }],
    ["ecdsa.test", ["-tls1_2", "-cipher", aes], answered("ecdsa.test", "TLSv1.2", aes)],
    // Those of TLS 1.3 are not chosen by anybody.
    ["one.test", [], answered("ecdsa.test")],
    ["ecdsa.test", ["-groups", "P-256"], answered("ecdsa.test")],
    ["ecdsa.test", ["-groups", "P-521"], { refused: "handshake failure" }],
  ],
  "ServerTLSSettings credentialNames": [
    ["both.test", ["-tls1_2", "-cipher", rsaAes], answered("rsa.test", "TLSv1.2", rsaAes)],
    ["both.test", ["-tls1_2", "-cipher", aes], answered("ecdsa.test", "TLSv1.2", aes)],
    ["both.test", ["-sigalgs", "rsa_pss_rsae_sha256"], answered("rsa.test")],
    ["both.test", ["-sigalgs", "ecdsa_secp256r1_sha256"], answered("ecdsa.test")],
    ["both.test", ["-sigalgs", "ecdsa_secp521r1_sha512"], { refused: "handshake failure" }],
    ["p384.test", [], answered("p384.test")],
    ["p384.test", ["-sigalgs", "ecdsa_secp256r1_sha256"], { refused: "handshake failure" }],
  ],
  "ServerTLSSettings credentialName": [
    ["chain.test", [], answered("chain.test")],
    ["leaf.test", [], { ...answered("chain.test"), verified: "unable to verify the first certificate" }],
  ],
  "ServerTLSSettings mode MUTUAL": [
    ["mutual.test", shows("known"), answered("mutual.test")],
    ["mutual.test", ["-tls1_2", ...shows("known")], answered("mutual.test", "TLSv1.2")],
    ["mutual.test", [], refusedLater("mutual.test", "certificate required")],
    ["mutual.test", ["-tls1_2"], { refused: "handshake failure" }],
    ["mutual.test", shows("foreign"), refusedLater("mutual.test", "unknown ca")],
    ["mutual.test", shows("expired"), refusedLater("mutual.test", "certificate expired")],
    ["mutual.test", shows("banned"), refusedLater("mutual.test", "certificate revoked")],
    ["mutual.test", ["-tls1_2", ...shows("banned")], { refused: "certificate revoked" }],
    ["named.test", shows("known"), answered("named.test")],
    ["named.test", shows("banned"), refusedLater("named.test", "certificate unknown")],
    ["hashed.test", shows("known"), answered("named.test")],
    ["hashed.test", shows("banned"), refusedLater("named.test", "bad certificate hash value")],
  ],
  "ServerTLSSettings mode OPTIONAL_MUTUAL": [
    ["optional.test", [], answered("mutual.test")],
    ["optional.test", shows("known"), answered("mutual.test")],
    ["optional.test", shows("foreign"), refusedLater("mutual.test", "unknown ca")],
    ["careless.test", shows("foreign"), answered("mutual.test")],
    ["careless.test", shows("expired"), answered("mutual.test")],
  ],
};

describe.each(Object.keys(tables))("%s", (name) => {
  test.each(tables[name] ?? [])("openssl at %s, with %j", async (host, args, expected) => {
    expect(await handshake(host, args)).toEqual(expected);
  });
});

describe("curl", () => {
  /** A page, with the authority of the servers' certificates. */
  const fetched = (host: Host, args: readonly string[] = []) =>
    curl(called(), host, ["--cacert", join(folder, "root.crt"), ...args]);

  test.each<readonly [string, Host, readonly string[], Partial<Fetched>]>([
    ["HTTP/2 is agreed on", "ecdsa.test", [], { code: 0, status: "200", http: "2", body: "here" }],
    ["or HTTP/1.1", "ecdsa.test", ["--http1.1"], { code: 0, status: "200", http: "1.1", body: "here" }],
    ["versions that do not meet", "new.test", ["--tls-max", "1.2"], { code: 35, status: "000" }],
    ["a server that leaves out who vouches for it", "leaf.test", [], { code: 60, status: "000" }],
    ["no certificate where one is needed", "mutual.test", ["--tls-max", "1.2"], { code: 35, status: "000" }],
    ["a name that no server has", "nobody.test", [], { code: 35, status: "000" }],
  ])("%s", async (_title, host, args, expected) => {
    expect(await fetched(host, args)).toMatchObject(expected);
  });

  test("ServerTLSSettings httpsRedirect: a caller without TLS is sent to HTTPS, and one that follows gets there", async () => {
    const plain = await curl(called(8080), "ecdsa.test", [], "http");
    expect(plain).toMatchObject({ code: 0, status: "301", redirect: "https://ecdsa.test:8080/" });
    const resolve = ["--connect-to", `ecdsa.test:8080:${world.addressOf("edge")}:${port}`];
    const args = ["--cacert", join(folder, "root.crt"), ...resolve];
    expect(await curl(called(8080), "ecdsa.test", args)).toMatchObject({ code: 0, status: "200", body: "here" });
  });
});

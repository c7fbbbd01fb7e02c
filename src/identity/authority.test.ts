import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { openssl, opensslVerdict } from "#base/testing/openssl.ts";
import { type AuthorityFiles, makeAuthority, readAuthority } from "./authority.ts";
import { issue, type IssueRequest } from "./issue.ts";
import { authorityKeys } from "./settings.ts";
import { Signer } from "./signer.ts";
import { type KeyType, pluggedAuthority, type PluggedOptions } from "./testing/plugged-authority.ts";
import { makeSigningRequest } from "./signing-request.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-ca-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const path = (name: string): string => join(folder, name);
const write = (name: string, text: string): string => {
  writeFileSync(path(name), text);
  return path(name);
};
const plugged = (name: string, intermediates: number, options?: PluggedOptions): AuthorityFiles =>
  pluggedAuthority(folder, name, intermediates, options);

/** After all that openssl makes meanwhile, which begins when it is made, however slow the machine. */
const now = Math.floor(Date.now() / 1000) * 1000 + 3_600_000;
const dayMs = 86_400_000;
const reviews = "spiffe://cluster.local/ns/shop/sa/reviews";
const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const request: IssueRequest = { csr: makeSigningRequest(keys), names: [reviews], ttlMs: dayMs, now };

/** What a server of the control plane shows. */
const discovery = { ...request, names: ["istiod.istio-system.svc", "10.1.2.3"] };

/** What openssl finds wrong with a chain at that time. */
function verdictOf(chain: readonly string[], roots: string, ...options: readonly string[]): string {
  return opensslVerdict(chain, roots, "-attime", String(now / 1000), ...options);
}

/** What openssl finds wrong with what an authority signs: for workloads, which are servers and clients, and for the control plane. */
function verdicts(files: AuthorityFiles): readonly string[] {
  const authority = readAuthority(files, now);
  const workload = issue(request, authority).chain;
  const server = issue(discovery, authority).chain;
  const verdict = (chain: readonly string[], ...options: readonly string[]): string =>
    verdictOf(chain, files.roots, ...options);
  return [
    verdict(workload, "-purpose", "sslserver"),
    verdict(workload, "-purpose", "sslclient"),
    verdict(server, "-purpose", "sslserver", "-verify_hostname", "istiod.istio-system.svc"),
    verdict(server, "-purpose", "sslserver", "-verify_ip", "10.1.2.3"),
  ];
}
const good4 = ["OK", "OK", "OK", "OK"];

test.each(authorityKeys)("an authority of its own with a key of %s signs what openssl verifies", (type) => {
  const files = makeAuthority(type, "cluster.local", now);
  expect(issue(request, readAuthority(files, now)).chain).toHaveLength(1);
  expect(verdicts(files)).toEqual(good4);
});

test.each<[number, KeyType, KeyType]>([
  [0, "ec", "ec"],
  [1, "rsa", "ec"],
  [1, "ec", "rsa"],
  [3, "ec", "rsa"],
])(
  "a plugged-in authority with %d intermediates, keys of %s and %s, signs what openssl verifies",
  (count, ...types) => {
    const files = plugged(`plugged${count}`, count, { types });
    expect(issue(request, readAuthority(files, now)).chain).toHaveLength(1 + count);
    expect(verdicts(files)).toEqual(good4);
  },
);

test("a certificate is not good for what it does not say, nor without what is above it", () => {
  const files = plugged("strict", 1);
  const authority = readAuthority(files, now);
  const { chain } = issue(request, authority);
  const verdict = (...options: readonly string[]): string => verdictOf(chain, files.roots, ...options);
  expect(verdict("-verify_hostname", "istiod.istio-system.svc")).toBe("host name");
  expect(verdict("-purpose", "smimesign")).toBe("purpose");
  expect(verdict("-attime", String(now / 1000 + 90_000))).toBe("expired");
  expect(verdict("-attime", String(now / 1000 - 130))).toBe("not yet valid");
  expect(verdictOf(chain.slice(0, 1), files.roots)).toBe("no issuer");
  const keyOfLeaf = keys.privateKey.export({ type: "pkcs8", format: "pem" });
  expect(() => readAuthority({ ...files, certificate: chain[0] ?? "", key: keyOfLeaf }, now)).toThrow(
    "no certificate of an authority",
  );
});

test("what a certificate says is Istio's profile", () => {
  const files = makeAuthority("P-256", "cluster.local", now);
  const { chain, expires } = issue(request, readAuthority(files, now));
  const leaf = write("leaf.pem", chain[0] ?? "");
  const text = openssl(["x509", "-in", leaf, "-noout", "-text"]);
  expect(text).toMatch(/Subject: *\n/);
  expect(text).toMatch(/Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster.local\/ns\/shop\/sa\/reviews\n/);
  expect(text).toMatch(/Key Usage: critical\s+Digital Signature, Key Encipherment\n/);
  expect(text).toMatch(/Extended Key Usage: *\n\s+TLS Web Server Authentication, TLS Web Client Authentication\n/);
  expect(text).toMatch(/Basic Constraints: critical\s+CA:FALSE\n/);
  const { validFromDate, validToDate, publicKey, serialNumber } = new X509Certificate(chain[0] ?? "");
  expect([validFromDate.getTime(), validToDate.getTime()]).toEqual([now - 120_000, now + dayMs]);
  expect(expires).toBe(now + dayMs);
  expect(publicKey.equals(keys.publicKey)).toBe(true);
  expect(new X509Certificate(issue(request, readAuthority(files, now)).chain[0] ?? "").serialNumber).not.toBe(
    serialNumber,
  );
});

test("no certificate outlives what is above it, and none is made when that has ended", () => {
  const authority = readAuthority(plugged("short", 2, { days: 2 }), now);
  expect(authority.expires).toBeLessThan(now + 2 * dayMs + 60_000);
  const { chain, expires } = issue({ ...request, ttlMs: 90 * dayMs }, authority);
  expect(expires).toBe(authority.expires);
  expect(new X509Certificate(chain[0] ?? "").validToDate.getTime()).toBe(authority.expires);
  const later = { ...request, now: authority.expires + 1 };
  expect(() => issue(later, authority)).toThrow(expect.objectContaining({ code: "FailedPrecondition" }));
});

test("with several roots, all are trusted, and a leaf's leads to its own", () => {
  const [own, other] = [plugged("own", 1), makeAuthority("P-256", "other", now)];
  const both = { ...own, roots: other.roots + own.roots };
  const authority = readAuthority(both, now);
  expect(authority.roots).toHaveLength(2);
  expect(verdictOf(issue(request, authority).chain, both.roots)).toBe("OK");
});

const good = plugged("good", 1);
const other = makeAuthority("P-256", "other", now);
const [leaf = ""] = issue(request, readAuthority(good, now)).chain;

test.each<[string, AuthorityFiles, string, number?]>([
  ["without a certificate", { ...good, certificate: "" }, "ca-cert.pem has no certificate"],
  [
    "with a key in place of the certificate",
    { ...good, certificate: good.key },
    "block 1 of ca-cert.pem is no certificate",
  ],
  [
    "with a broken certificate",
    { ...good, certificate: good.certificate.replace(/\nMII.../, "\nAAAAAA") },
    "cannot be read",
  ],
  ["without a key", { ...good, key: "" }, "ca-key.pem is no private key"],
  ["with another's key", { ...good, key: other.key }, "does not belong to the key"],
  ["with a weak key", { ...good, key: openssl(["genrsa", "1024"]) }, "has 1024 bits"],
  ["with a leaf's certificate", { ...good, certificate: leaf }, "no certificate of an authority"],
  ["without roots", { ...good, roots: "" }, "root-cert.pem has no certificate"],
  ["with another's root", { ...good, roots: other.roots }, "no valid chain leads from ca-cert.pem"],
  ["that has ended", good, "is valid from", now + 40 * dayMs],
  ["that has not begun", good, "is valid from", now - dayMs],
])("an authority %s is refused, and its key not shown", (_name, files, says, at = now) => {
  const read = (): unknown => readAuthority(files, at);
  expect(read).toThrow(expect.objectContaining({ code: "InvalidArgument", message: expect.stringContaining(says) }));
});

test("an intermediate that is missing is a broken chain", () => {
  const files = plugged("gap", 2);
  const read = (): unknown => readAuthority({ ...files, chain: "" }, now);
  expect(read).toThrow("no valid chain leads from ca-cert.pem");
});

/** An authority for a thread, which goes by the machine's clock. */
const made = (name: string): AuthorityFiles => makeAuthority("P-256", name, systemClock.now());

test("the thread signs with the newest good authority, refuses what is wrong, and is started again", async () => {
  await using signer = new Signer(systemClock);
  const { csr, names, ttlMs } = request;
  await expect(signer.issue({ csr, names, ttlMs })).rejects.toMatchObject({ code: "Unavailable" });
  const [first, second] = [made("first"), made("second")];
  const issuerOf = async (): Promise<string> => {
    const { chain } = await signer.issue({ csr, names, ttlMs });
    return new X509Certificate(chain[0] ?? "").issuer;
  };
  signer.use(first);
  expect(await issuerOf()).toBe("O=first");
  signer.use(second);
  expect(await issuerOf()).toBe("O=second");
  expect(() => signer.use({ ...first, key: second.key })).toThrow("does not belong to the key");
  expect(await issuerOf()).toBe("O=second");
  await expect(signer.issue({ csr: "none", names, ttlMs })).rejects.toMatchObject({ code: "InvalidArgument" });
  expect(await issuerOf()).toBe("O=second");
});

test("more requests than the thread can do soon are refused at once", async () => {
  await using signer = new Signer(systemClock);
  signer.use(made("cluster.local"));
  const all = Array.from({ length: 1010 }, () => signer.issue({ csr: "none", names: [], ttlMs: dayMs }));
  const codes = await Promise.all(
    all.map(async (each) =>
      each.then(
        () => "issued",
        ({ code }: { code: string }) => code,
      ),
    ),
  );
  expect(codes.filter((code) => code === "ResourceExhausted")).toHaveLength(10);
  expect(codes.filter((code) => code === "InvalidArgument")).toHaveLength(1000);
});

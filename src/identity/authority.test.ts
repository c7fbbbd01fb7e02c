import { execFileSync } from "node:child_process";
import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { systemClock } from "#base/clock.ts";
import { type AuthorityFiles, makeAuthority, readAuthority } from "./authority.ts";
import { issue, type IssueRequest } from "./issue.ts";
import { authorityKeys } from "./settings.ts";
import { Signer } from "./signer.ts";
import { makeSigningRequest } from "./signing-request.ts";

const folder = mkdtempSync(join(tmpdir(), "weft-ca-"));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const path = (name: string): string => join(folder, name);
const write = (name: string, text: string): string => {
  writeFileSync(path(name), text);
  return path(name);
};
const openssl = (...args: readonly string[]): string =>
  execFileSync("openssl", args, { encoding: "utf8", stdio: "pipe" });

/** A root and intermediates under it, each signed by the one before, as an operator makes them with openssl. */
function plugged(name: string, intermediates: number, days = "30"): AuthorityFiles {
  const keyArgs = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
  const ca = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\nsubjectKeyIdentifier=hash\n";
  const extensions = write("ca.ext", ca);
  const at = (index: number, end: string): string => path(`${name}-${index}.${end}`);
  const subject = (index: number): string => `/O=${name}/CN=${index === 0 ? "Root" : `Intermediate ${index}`}`;
  openssl("req", "-new", ...keyArgs, "-keyout", at(0, "key"), "-subj", subject(0), "-out", at(0, "csr"));
  openssl(
    "x509",
    "-req",
    "-in",
    at(0, "csr"),
    "-key",
    at(0, "key"),
    "-days",
    "60",
    "-extfile",
    extensions,
    "-out",
    at(0, "crt"),
  );
  for (let index = 1; index <= intermediates; index++) {
    openssl("req", "-new", ...keyArgs, "-keyout", at(index, "key"), "-subj", subject(index), "-out", at(index, "csr"));
    const above = ["-CA", at(index - 1, "crt"), "-CAkey", at(index - 1, "key"), "-CAcreateserial"];
    openssl(
      "x509",
      "-req",
      "-in",
      at(index, "csr"),
      ...above,
      "-days",
      days,
      "-extfile",
      extensions,
      "-out",
      at(index, "crt"),
    );
  }
  const read = (index: number, end: string): string => readFileSync(at(index, end), "utf8");
  // As Istio's tools write it: from the signing certificate to the root.
  const chain = Array.from({ length: intermediates + 1 }, (_, index) => read(intermediates - index, "crt")).join("");
  return { certificate: read(intermediates, "crt"), key: read(intermediates, "key"), chain, roots: read(0, "crt") };
}

/** A little after what openssl makes meanwhile. */
const now = Math.floor(Date.now() / 1000) * 1000 + 60_000;
const dayMs = 86_400_000;
const reviews = "spiffe://cluster.local/ns/shop/sa/reviews";
const keys = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const request: IssueRequest = { csr: makeSigningRequest(keys), names: [reviews], ttlMs: dayMs, now };

/** What `openssl verify` says of a leaf with what is sent beside it. */
function verified(chain: readonly string[], roots: string): string {
  const [leaf = "", ...between] = chain;
  const untrusted = between.length > 0 ? ["-untrusted", write("between.pem", between.join(""))] : [];
  const args = ["verify", "-x509_strict", "-CAfile", write("roots.pem", roots), ...untrusted];
  return openssl(...args, write("leaf.pem", leaf)).trim();
}

test.each(authorityKeys)("an authority of its own with a key of %s signs what openssl verifies", (type) => {
  const files = makeAuthority(type, "cluster.local", now);
  const { chain } = issue(request, readAuthority(files, now));
  expect(chain).toHaveLength(1);
  expect(verified(chain, files.roots)).toBe(`${path("leaf.pem")}: OK`);
});

test.each([0, 1, 3])("a plugged-in authority with %d intermediates signs what openssl verifies", (intermediates) => {
  const files = plugged(`plugged${intermediates}`, intermediates);
  const { chain } = issue(request, readAuthority(files, now));
  expect(chain).toHaveLength(1 + intermediates);
  expect(verified(chain, files.roots)).toBe(`${path("leaf.pem")}: OK`);
});

test("what a certificate says is Istio's profile", () => {
  const files = makeAuthority("P-256", "cluster.local", now);
  const { chain, expires } = issue(request, readAuthority(files, now));
  const leaf = write("leaf.pem", chain[0] ?? "");
  const text = openssl("x509", "-in", leaf, "-noout", "-text");
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
  const authority = readAuthority(plugged("short", 2, "2"), now);
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
  expect(verified(issue(request, authority).chain, both.roots)).toBe(`${path("leaf.pem")}: OK`);
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
  ["with a weak key", { ...good, key: openssl("genrsa", "1024") }, "has 1024 bits"],
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

test("the thread signs with the newest good authority, refuses what is wrong, and is started again", async () => {
  await using signer = new Signer(systemClock);
  const { csr, names, ttlMs } = request;
  await expect(signer.issue({ csr, names, ttlMs })).rejects.toMatchObject({ code: "Unavailable" });
  const [first, second] = [makeAuthority("P-256", "first", now), makeAuthority("P-256", "second", now)];
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
  signer.use(makeAuthority("P-256", "cluster.local", now));
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

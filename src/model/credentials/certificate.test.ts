import { generateKeyPairSync } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { readAuthorities, readKeyPair, readRevoked } from "./certificate.ts";

const authority = createAuthority("authority");
const one = authority.issue("one.test");
const other = authority.issue("other.test");

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

function judge(chain: string, key: string): unknown {
  return readKeyPair({ chain: base64(chain), key: base64(key) });
}

function problem(chain: string, key: string): string {
  const read = judge(chain, key) as { readonly at: string; readonly problem: string };
  return `${read.at} ${read.problem}`;
}

describe("a certificate with its key", () => {
  it("is good with a chain, with words around, for its time", () => {
    const from = new Date("2026-01-01T00:00:00Z");
    const until = new Date("2026-02-01T00:00:00Z");
    const { certificate, key } = authority.issueFor({ names: ["a"], rsa: 2048, from, until });
    const chain = `subject: a\n${certificate}and then\n${authority.certificate}`;
    expect(judge(chain, key)).toEqual({ from: from.getTime(), until: until.getTime() });
  });

  it.each(["prime256v1", "secp384r1", "secp521r1"])("is good with a key of curve %s", (curve) => {
    const { certificate, key } = authority.issueFor({ names: ["a"], curve });
    expect(judge(certificate, key)).toHaveProperty("until");
  });

  it.each([
    ["key is not the key of the certificate", one.certificate, other.key],
    ["key has no private key in PEM that is not encrypted", one.certificate, "secret"],
    ["key has no private key in PEM that is not encrypted", one.certificate, one.certificate],
    ["chain has no certificate in PEM", "secret", one.key],
    ["chain has no certificate in PEM", one.certificate.slice(0, 100), one.key],
    [
      "chain has a certificate that cannot be read, number 2",
      one.certificate + one.certificate.replaceAll("M", "A"),
      one.key,
    ],
    ["chain is larger than 1 MiB", " ".repeat(1024 * 1024 + 3), one.key],
  ])("%s", (expected, chain, key) => {
    expect(problem(chain, key)).toBe(expected);
  });

  it.each([
    [{ rsa: 1024 }, "chain has an RSA key of 1024 bits; proxies take 2048 and more"],
    [
      { curve: "secp256k1" },
      "chain has a key of type ec (secp256k1); proxies take RSA, and ECDSA with P-256, P-384 or P-521",
    ],
  ])("is refused with a key that Envoy does not take: %o", (kind, expected) => {
    const { certificate, key } = authority.issueFor({ names: ["a"], ...kind });
    expect(problem(certificate, key)).toBe(expected);
  });

  it("is refused with an encrypted key", () => {
    const { privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
    const key = privateKey.export({ type: "pkcs8", format: "pem", cipher: "aes-128-cbc", passphrase: "a" });
    expect(problem(one.certificate, key)).toBe("key has no private key in PEM that is not encrypted");
  });
});

describe("authorities", () => {
  it("are one or several certificates", () => {
    expect(readAuthorities(base64(authority.certificate + one.certificate))).toHaveProperty("until");
    expect(readAuthorities(base64("nothing"))).toEqual({ problem: "has no certificate in PEM" });
  });

  it("may list revoked certificates", () => {
    expect(readRevoked(base64(authority.revoke(one.certificate)))).toBeUndefined();
    expect(readRevoked(base64(one.certificate))).toEqual({ problem: "has no X509 CRL in PEM" });
  });
});

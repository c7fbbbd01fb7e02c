import { generateKeyPairSync, sign, X509Certificate } from "node:crypto";
import { describe, expect, test } from "vitest";
import {
  distinguishedName,
  extendedKeyUsage,
  isAuthority,
  keyIdentifier,
  keyUsage,
  makeCertificate,
  noAuthority,
  subjectAltName,
  subjectKeyIdentifier,
} from "./certificate.ts";
import { identifier, sequence } from "./der.ts";
import { openssl } from "./testing/openssl.ts";

const ecdsaWithSha256 = sequence(identifier([0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02]));
const keys = generateKeyPairSync("ec", { namedCurve: "P-256" });
const signing = { algorithm: ecdsaWithSha256, sign: (bytes: Uint8Array) => sign("sha256", bytes, keys.privateKey) };
const name = distinguishedName(["organization", "one"], ["organization", "two"], ["commonName", "Schöne Stadt"]);
const validity = { from: Date.parse("2026-01-02T03:04:05Z"), until: Date.parse("2051-06-07T08:09:10Z") };

function certificateWith(...extensions: readonly Uint8Array[]): string {
  const { publicKey } = keys;
  return makeCertificate({ issuer: name, subject: name, publicKey, validity, extensions }, signing);
}

/** What OpenSSL's program shows of an extension. */
function shown(heading: string, ...extensions: readonly Uint8Array[]): string {
  const text = openssl(["x509", "-noout", "-text"], certificateWith(...extensions));
  const lines = text.split("\n").map((line) => line.trim());
  return lines
    .slice(lines.findIndex((line) => line.includes(heading)))
    .slice(0, 2)
    .join(" ");
}

test("a certificate says whose it is, who made it and from when to when, and is signed", () => {
  const certificate = new X509Certificate(certificateWith(isAuthority()));
  expect(certificate.subject).toBe("O=one\nO=two\nCN=Schöne Stadt");
  expect(certificate.issuer).toBe(certificate.subject);
  expect([certificate.validFromDate.getTime(), certificate.validToDate.getTime()]).toEqual([
    validity.from,
    validity.until,
  ]);
  expect(certificate.publicKey.equals(keys.publicKey)).toBe(true);
  expect(certificate.verify(keys.publicKey)).toBe(true);
  expect(certificate.checkIssued(certificate)).toBe(true);
});

test("numbers of certificates are positive, of 127 bits, and no two the same", () => {
  const numbers = Array.from({ length: 100 }, () => new X509Certificate(certificateWith()).serialNumber);
  for (const number of numbers) expect(number).toMatch(/^[4-7][0-9A-F]{31}$/);
  expect(new Set(numbers).size).toBe(100);
});

describe("extensions, as OpenSSL reads them", () => {
  test.each([
    [keyUsage("digitalSignature"), "X509v3 Key Usage: critical Digital Signature"],
    [keyUsage("digitalSignature", "keyEncipherment"), "X509v3 Key Usage: critical Digital Signature, Key Encipherment"],
    [keyUsage("keyCertSign", "cRLSign"), "X509v3 Key Usage: critical Certificate Sign, CRL Sign"],
  ])("keys' usages", (extension, text) => expect(shown("Key Usage", extension)).toBe(text));

  test("ends of TLS", () => {
    const both = "X509v3 Extended Key Usage: TLS Web Server Authentication, TLS Web Client Authentication";
    expect(shown("Extended Key Usage", extendedKeyUsage("serverAuth", "clientAuth"))).toBe(both);
  });

  test.each([
    [noAuthority, "CA:FALSE"],
    [isAuthority(), "CA:TRUE"],
    [isAuthority(0), "CA:TRUE, pathlen:0"],
    [isAuthority(3), "CA:TRUE, pathlen:3"],
  ])("authorities or not", (extension, text) => {
    expect(shown("Basic Constraints", extension)).toBe(`X509v3 Basic Constraints: critical ${text}`);
  });

  test("names", () => {
    const names = {
      "spiffe://cluster.local/ns/shop/sa/till": "URI:spiffe://cluster.local/ns/shop/sa/till",
      "till.shop.svc": "DNS:till.shop.svc",
      "10.2.3.4": "IP Address:10.2.3.4",
      "::": "IP Address:0:0:0:0:0:0:0:0",
      "::1": "IP Address:0:0:0:0:0:0:0:1",
      "fd00::": "IP Address:FD00:0:0:0:0:0:0:0",
      "2001:db8::5:0:a": "IP Address:2001:DB8:0:0:0:5:0:A",
      "1:2:3:4:5:6:7:8": "IP Address:1:2:3:4:5:6:7:8",
      "::ffff:192.0.2.1": "IP Address:0:0:0:0:0:FFFF:C000:201",
      "fe80::1%eth0": "IP Address:FE80:0:0:0:0:0:0:1",
    };
    const read = (only: boolean): string => shown("Alternative Name", subjectAltName(Object.keys(names), only));
    expect(read(false)).toBe(`X509v3 Subject Alternative Name: ${Object.values(names).join(", ")}`);
    expect(read(true)).toContain("X509v3 Subject Alternative Name: critical URI:spiffe://");
  });

  test.each([
    ["ec", "ec_paramgen_curve:P-256"],
    ["ec", "ec_paramgen_curve:P-384"],
    ["ec", "ec_paramgen_curve:P-521"],
    ["rsa", "rsa_keygen_bits:2048"],
  ])("a key's identifier is the one that OpenSSL gives a key of %s, %s", (type, option) => {
    const key = ["-newkey", type, "-pkeyopt", option, "-nodes", "-keyout", "/dev/null"];
    const own = openssl(["req", "-x509", ...key, "-subj", "/CN=own", "-addext", "subjectKeyIdentifier=hash"]);
    const ours = shown("Subject Key Id", subjectKeyIdentifier(keyIdentifier(new X509Certificate(own).publicKey)));
    expect(openssl(["x509", "-noout", "-text"], own).replaceAll(/\s+/g, " ")).toContain(ours);
  });
});

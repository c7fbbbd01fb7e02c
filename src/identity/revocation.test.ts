import { X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { readAuthority } from "./authority.ts";
import { checkRevocations } from "./revocation.ts";

const root = createAuthority("root");
const signing = root.subordinate("signing");
const { certificate, key } = signing;
const now = Date.now();
const read = (revoked: string) =>
  readAuthority({ certificate, key, chain: certificate, roots: root.certificate, revoked }, now);

describe("lists of revoked certificates", () => {
  it("are there for each authority above a leaf, or for none", () => {
    const lists = signing.revoke(certificate) + root.revoke();
    expect(read(lists).revoked).toBe(lists);
    expect(read("").revoked).toBe("");
    expect(() => read(signing.revoke())).toThrow("ca-crl.pem has no list of CN=root");
    expect(() => read(root.revoke())).toThrow("ca-crl.pem has no list of CN=signing");
    // Of the same name, by another key.
    expect(() => read(signing.revoke() + createAuthority("root").revoke())).toThrow("no list of CN=root");
  });

  it("are good now", () => {
    const check = (at: number): void => checkRevocations(root.revoke(), [new X509Certificate(root.certificate)], at);
    expect(() => check(now)).not.toThrow();
    expect(() => check(now + 2 * 86_400_000)).toThrow("the list of CN=root in ca-crl.pem is over");
  });

  it("are lists", () => {
    expect(() => read(certificate)).toThrow("block 1 of ca-crl.pem is no list of revoked certificates but CERTIFICATE");
    expect(() => read("revoked")).toThrow("ca-crl.pem has no list of revoked certificates in PEM");
    const broken = "-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n";
    expect(() => read(root.revoke() + broken)).toThrow("list 2 of ca-crl.pem cannot be read");
  });
});

import { execFileSync } from "node:child_process";
import { describe, expect, it } from "vitest";
import { newSigningRequest } from "./signing-request.ts";

const identity = "spiffe://cluster.local/ns/shop/sa/reviews";

describe("a request for a certificate", () => {
  it("is read by OpenSSL: signed by its key, with the identity as the only name", () => {
    const { request } = newSigningRequest(identity);
    const text = execFileSync("openssl", ["req", "-verify", "-noout", "-text"], { input: request, encoding: "utf8" });
    expect(text).toMatch(
      /X509v3 Subject Alternative Name: critical\s+URI:spiffe:\/\/cluster.local\/ns\/shop\/sa\/reviews\n/,
    );
    expect(text).toContain("NIST CURVE: P-256");
    expect(text).toMatch(/Subject:\s*\n/);
  });

  it("is for a key of its own each time", () => {
    const [one, other] = [newSigningRequest(identity), newSigningRequest(identity)];
    expect(one.key.equals(other.key)).toBe(false);
    expect(one.key.asymmetricKeyDetails).toEqual({ namedCurve: "prime256v1" });
  });

  it("takes an identity longer than a short length of DER", () => {
    const long = `spiffe://cluster.local/ns/${"n".repeat(63)}/sa/${"s".repeat(200)}`;
    const input = newSigningRequest(long).request;
    expect(execFileSync("openssl", ["req", "-verify", "-noout", "-text"], { input, encoding: "utf8" })).toContain(long);
  });
});

import { generateKeyPairSync, X509Certificate } from "node:crypto";
import { describe, expect, it } from "vitest";
import { createAuthority } from "#base/testing/certificate.ts";
import { checkIssued } from "./issued.ts";

const identity = "spiffe://cluster.local/ns/shop/sa/reviews";
const { publicKey, privateKey: key } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
const root = createAuthority("root");
const now = Date.now();
const expected = { identity, key, now };

function leaf(
  authority = root,
  names: readonly string[] = [identity],
  more: { from?: Date; until?: Date } = {},
): string {
  return authority.certify(publicKey, { names, ...more });
}

describe("a certificate that was issued", () => {
  it("is taken with its key, its chain without the root, and all of its roots", () => {
    const between = root.subordinate("between");
    const other = createAuthority("other").certificate;
    const own = leaf(between);
    const taken = checkIssued([own, between.certificate, root.certificate + other], expected);
    expect(taken.chain).toBe(own + between.certificate);
    expect(taken.roots).toEqual([root.certificate, other]);
    expect(checkIssued([own, between.certificate, root.certificate, other], expected)).toEqual(taken);
    expect(taken.key).toBe(key.export({ type: "pkcs8", format: "pem" }));
    const { serialNumber, validTo } = new X509Certificate(own);
    expect(taken).toMatchObject({ serialNumber: serialNumber.toLowerCase(), notAfter: Date.parse(validTo) });
  });

  it("may be signed by any of the roots", () => {
    expect(checkIssued([leaf(), createAuthority("a").certificate + root.certificate], expected).roots).toHaveLength(2);
  });

  const strange = createAuthority("root");
  const impostor = { certificate: leaf(), names: [identity] };
  it.each<[string, readonly string[], string]>([
    ["nothing at all", [], "is none"],
    ["roots alone", [root.certificate], "is none"],
    ["no roots", [leaf(), ""], "has no root"],
    ["another key", [root.issue(identity).certificate, root.certificate], "is for another key"],
    [
      "another identity",
      [leaf(root, ["spiffe://cluster.local/ns/shop/sa/admin"]), root.certificate],
      "not for URI:spiffe",
    ],
    ["a second name", [leaf(root, [identity, "reviews.shop"]), root.certificate], "not for URI:spiffe"],
    ["no name", [leaf(root, []), root.certificate], "is for nobody"],
    ["a root of the same name with another key", [leaf(), strange.certificate], "no valid chain"],
    [
      "a chain that lacks one",
      [leaf(root.subordinate("x")), root.subordinate("y").certificate, root.certificate],
      "no valid chain",
    ],
    ["a leaf of yesterday", [leaf(root, [identity], { until: new Date(now - 1000) }), root.certificate], "only"],
    ["a leaf of tomorrow", [leaf(root, [identity], { from: new Date(now + 60_000) }), root.certificate], "only"],
    ["what is no certificate", [impostor.certificate.replace(/MII/, "AAA"), root.certificate], "cannot be read"],
  ])("is refused with %s", (_, answer, why) => {
    expect(() => checkIssued(answer, expected)).toThrow(why);
  });
});

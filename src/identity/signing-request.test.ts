import { createPublicKey, generateKeyPairSync } from "node:crypto";
import * as fc from "fast-check";
import { expect, test } from "vitest";
import { pem } from "#base/der.ts";
import { openssl } from "#base/testing/openssl.ts";
import { patience, runs } from "#base/testing/runs.ts";
import { onlyBlock } from "./pem.ts";
import { makeSigningRequest, readSigningRequest } from "./signing-request.ts";

/** A request that openssl makes for a key that it makes. */
function requestOf(key: readonly string[], ...more: readonly string[]): string {
  return openssl([
    "req",
    "-new",
    "-nodes",
    "-newkey",
    ...key,
    "-keyout",
    "/dev/null",
    "-subj",
    "/CN=somebody",
    ...more,
  ]);
}

const curve = (name: string): readonly string[] => ["ec", "-pkeyopt", `ec_paramgen_curve:${name}`];
const refusal = (text: string): string => {
  try {
    readSigningRequest(text);
  } catch (error) {
    expect(error).toMatchObject({ name: "WeftError", code: "InvalidArgument" });
    return (error as Error).message;
  }
  return "accepted";
};

test.each([
  ["P-256", curve("P-256"), "ec"],
  ["P-384", curve("P-384"), "ec"],
  ["P-521", curve("P-521"), "ec"],
  ["RSA 2048", ["rsa:2048"], "rsa"],
])("a request of openssl with a key of %s is read, names or not", (_name, key, type) => {
  const request = requestOf(key, "-addext", "subjectAltName=URI:spiffe://cluster.local/ns/other/sa/other");
  const read = readSigningRequest(request);
  expect(read.asymmetricKeyType).toBe(type);
  const shown = openssl(["req", "-noout", "-pubkey"], request);
  expect(read.equals(createPublicKey(shown))).toBe(true);
});

test.each([
  ["RSA of 1024 bits", ["rsa:1024"], "RSA keys are taken from 2048 to 8192 bits"],
  ["secp256k1", curve("secp256k1"), "not of a curve that is taken"],
  ["Ed25519", ["ed25519"], "of a type that is not taken"],
])("a key of %s is refused", (_name, key, says) => expect(refusal(requestOf(key))).toContain(says));

const made = makeSigningRequest(generateKeyPairSync("ec", { namedCurve: "prime256v1" }));
const der = onlyBlock(made, ["CERTIFICATE REQUEST"]);
const asPem = (bytes: Uint8Array): string => pem("CERTIFICATE REQUEST", Buffer.from(bytes));

/** The request with some bytes changed. */
function changed(changes: readonly (readonly [at: number, by: number])[]): Buffer {
  const bytes = Buffer.from(der);
  for (const [at, by] of changes) bytes[at] = (bytes[at] ?? 0) ^ by;
  return bytes;
}

test("a request that is made here is one for openssl too", () => {
  expect(openssl(["req", "-noout", "-verify", "-text"], made)).toContain("prime256v1");
  expect(readSigningRequest(made).asymmetricKeyType).toBe("ec");
  const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
  expect(readSigningRequest(makeSigningRequest(rsa)).equals(rsa.publicKey)).toBe(true);
});

test("with another's key, or signed by another, it is refused", () => {
  const [own, other] = [0, 1].map(() => generateKeyPairSync("ec", { namedCurve: "prime256v1" }));
  if (!own || !other) throw new Error("no keys");
  const forged = makeSigningRequest({ publicKey: own.publicKey, privateKey: other.privateKey });
  expect(refusal(forged)).toBe("its signature is not that of its key");
});

test.each([
  ["nothing", "", "one PEM block"],
  ["a text", "no request", "one PEM block"],
  ["two requests", made + made, "one PEM block"],
  ["a certificate's label", made.replaceAll("CERTIFICATE REQUEST", "CERTIFICATE"), "one PEM block"],
  ["too long a text", `${made}${" ".repeat(20_000)}`, "the limit is 16384"],
  ["bytes that are no DER", asPem(Buffer.from("hello")), "not a PKCS #10 request"],
  ["bytes after the request", asPem(Buffer.concat([der, Buffer.from([0])])), "not a PKCS #10 request"],
  ["the beginning of one", asPem(der.subarray(0, 60)), "not a PKCS #10 request"],
  [
    "a key whose curve's identifier has another length",
    asPem(
      changed([
        [23, 17],
        [25, 1],
      ]),
    ),
    "the public key cannot be read",
  ],
  ["sequences in sequences", asPem(Buffer.from("3080".repeat(5_000), "hex")), "not a PKCS #10 request"],
])("%s is refused", (_name, text, says) => expect(refusal(text)).toContain(says));

test(
  "whatever is changed in a request, it is refused, or read as the same key",
  () => {
    const key = readSigningRequest(made);
    const places = fc.integer({ min: 0, max: der.length - 1 });
    const change = fc.tuple(places, fc.integer({ min: 1, max: 255 }));
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 4 }), (changes) => {
        const bytes = changed(changes);
        const said = refusal(asPem(bytes));
        if (said === "accepted") expect(readSigningRequest(asPem(bytes)).equals(key)).toBe(true);
      }),
      { numRuns: runs(500) },
    );
  },
  patience(30_000),
);

test(
  "any bytes are refused, and nothing but that",
  () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 400 }), (bytes) => {
        const head = Buffer.from([0x30, 0x82, bytes.length >> 8, bytes.length & 255]);
        expect(refusal(asPem(bytes))).not.toBe("accepted");
        expect(refusal(asPem(Buffer.concat([head, bytes])))).not.toBe("accepted");
      }),
      { numRuns: runs(500) },
    );
  },
  patience(30_000),
);

import { createHash, generateKeyPairSync } from "node:crypto";
import { describe, expect, test } from "vitest";
import { nobodysKeys, usableKeys } from "./key-set.ts";

const rsa = generateKeyPairSync("rsa", { modulusLength: 2048 });
const rsaKey = rsa.publicKey.export({ format: "jwk" });
const curveKey = generateKeyPairSync("ec", { namedCurve: "P-256" }).publicKey.export({ format: "jwk" });
const oddCurveKey = generateKeyPairSync("ec", { namedCurve: "secp256k1" }).publicKey.export({ format: "jwk" });
const edwardsKey = generateKeyPairSync("ed25519").publicKey.export({ format: "jwk" });
const set = (...keys: readonly unknown[]): string => JSON.stringify({ keys });

describe("keys that verify tokens", () => {
  test.each([
    ["RSA", rsaKey],
    ["RSA for signatures", { ...rsaKey, use: "sig", alg: "PS256", kid: "a" }],
    ["a curve's", { ...curveKey, alg: "ES256", key_ops: ["verify"] }],
    ["Edwards'", { ...edwardsKey, alg: "EdDSA" }],
    ["a shared secret", { kty: "oct", k: "c2VjcmV0", alg: "HS256" }],
  ])("%s", (_title, key) => expect(usableKeys(set(key))).toBe(set(key)));

  test.each([
    ["for encryption", { ...rsaKey, use: "enc" }],
    ["for something else", { ...rsaKey, key_ops: ["encrypt"] }],
    ["for no algorithm that there is", { ...rsaKey, alg: "RSA-OAEP" }],
    ["of another curve than its algorithm's", { ...curveKey, alg: "ES384" }],
    ["of a curve that Envoy does not know", oddCurveKey],
    ["not on its curve", { ...curveKey, x: curveKey.y }],
    ["without a modulus", { kty: "RSA", e: "AQAB" }],
    ["with a modulus of no bits", { kty: "RSA", n: "AQ", e: "AQAB" }],
    ["with an exponent of one", { ...rsaKey, e: "AQ" }],
    ["with a number for a name", { ...rsaKey, kid: 1 }],
    ["with a number for an algorithm", { ...rsaKey, alg: 256 }],
    ["of no kind", { n: "AQ" }],
    ["no object", "key"],
    ["nothing", null],
  ])("not one %s", (_title, key) => {
    expect(usableKeys(set(key))).toBeUndefined();
    expect(usableKeys(set(key, curveKey))).toBe(set(curveKey));
  });

  test.each(["", "{", "[]", "null", "1", '"a"', '{"keys":{}}', '{"keys":[]}', "<html></html>"])("none of %o", (text) =>
    expect(usableKeys(text)).toBeUndefined(),
  );

  test("a single key is a set of one", () => expect(usableKeys(JSON.stringify(rsaKey))).toBe(set(rsaKey)));

  test("what is private is left out", () => {
    const whole = rsa.privateKey.export({ format: "jwk" });
    expect(JSON.parse(usableKeys(set(whole)) ?? "")).toEqual({ keys: [rsaKey] });
  });

  test("the key that nobody holds is made from a text", () => {
    const [key] = (JSON.parse(nobodysKeys) as { keys: [{ x: string; y: string }] }).keys;
    expect(key.x).toBe(createHash("sha256").update("nobody holds this key 0").digest("base64url"));
    expect((Buffer.from(key.y, "base64url").at(-1) ?? 1) % 2).toBe(0);
    expect(usableKeys(nobodysKeys)).toBe(nobodysKeys);
  });
});

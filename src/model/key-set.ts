import { createPublicKey, type KeyObject } from "node:crypto";

/** A JSON Web Key (RFC 7517), unchecked. */
type Key = Readonly<Record<string, unknown>>;

function record(value: unknown): Key | undefined {
  return typeof value === "object" && value !== null && !Array.isArray(value) ? (value as Key) : undefined;
}

/** The keys of a set, or the one key that a text is; undefined where it is neither. */
function keysIn(text: string): readonly Key[] | undefined {
  let value: Key | undefined;
  try {
    value = record(JSON.parse(text));
  } catch {
    return undefined;
  }
  if (!value) return undefined;
  const keys = "keys" in value ? value["keys"] : [value];
  return Array.isArray(keys) ? keys.map(record).filter((key) => key !== undefined) : undefined;
}

function publicKey(key: Key, members: readonly string[]): KeyObject | undefined {
  try {
    const jwk = Object.fromEntries(["kty", ...members].map((name) => [name, key[name]]));
    return createPublicKey({ key: jwk, format: "jwk" });
  } catch {
    return undefined;
  }
}

/** Sizes and exponents that Envoy's BoringSSL takes. */
function isUsableRsa(key: Key): boolean {
  const { modulusLength = 0, publicExponent = 0n } = publicKey(key, ["n", "e"])?.asymmetricKeyDetails ?? {};
  return modulusLength >= 512 && modulusLength <= 16_384 && publicExponent > 2n && publicExponent < 2n ** 33n;
}

const curveAlgorithms: Readonly<Record<string, string>> = { "P-256": "ES256", "P-384": "ES384", "P-521": "ES512" };

function isUsableCurve(key: Key, algorithm: string | undefined): boolean {
  const expected = Object.entries(curveAlgorithms).find(([curve]) => curve === key["crv"])?.[1];
  if (expected === undefined || (algorithm !== undefined && algorithm !== expected)) return false;
  return publicKey(key, ["crv", "x", "y"]) !== undefined;
}

/** Whether a key can verify tokens in Envoy. */
function isUsable(key: Key): boolean {
  const { kty, alg, use, kid } = key;
  const operations = key["key_ops"];
  if (use !== undefined && use !== "sig") return false;
  if (operations !== undefined && !(Array.isArray(operations) && operations.includes("verify"))) return false;
  if ((alg !== undefined && typeof alg !== "string") || (kid !== undefined && typeof kid !== "string")) return false;
  switch (kty) {
    case "RSA":
      return (alg === undefined || /^[RP]S(?:256|384|512)$/.test(alg)) && isUsableRsa(key);
    case "EC":
      return isUsableCurve(key, alg);
    case "OKP":
      return (
        (alg === undefined || alg === "EdDSA") && key["crv"] === "Ed25519" && publicKey(key, ["crv", "x"]) !== undefined
      );
    case "oct":
      return (alg === undefined || /^HS(?:256|384|512)$/.test(alg)) && /^[\w-]{2,}$/.test(String(key["k"]));
    default:
      return false;
  }
}

/**
 * The keys of a set that can verify tokens and are no secrets, as the text of a set.
 * @returns undefined where there is none.
 */
export function publicKeys(text: string): string | undefined {
  const all = keysIn(text)?.filter(({ kty }) => kty !== "oct");
  return all && usableKeys(JSON.stringify({ keys: all }));
}

/** Members of private keys, which nobody but the issuer needs. */
const secretMembers: ReadonlySet<string> = new Set(["d", "p", "q", "dp", "dq", "qi", "oth"]);

/**
 * The keys of a JSON Web Key Set (or of a single key) that verify tokens in Envoy, as the text of a set. Envoy refuses a
 * whole listener for a set of which it can use no key.
 * @returns undefined where no key can be used.
 */
export function usableKeys(text: string): string | undefined {
  const usable = keysIn(text)?.filter(isUsable) ?? [];
  if (usable.length === 0) return undefined;
  const keys = usable.map((key) =>
    Object.fromEntries(Object.entries(key).filter(([name]) => !secretMembers.has(name))),
  );
  return JSON.stringify({ keys });
}

/**
 * A set whose one key verifies nothing: a point of the curve P-256 whose x is the SHA-256 of `nobody holds this key 0` and
 * whose y is even, so that nobody can know the private key to it.
 */
export const nobodysKeys = JSON.stringify({
  keys: [
    {
      kty: "EC",
      crv: "P-256",
      x: "O_hQaSqqYydFcst4Vozo8EIpgyZ5K6Vmn01S8EUez1c",
      y: "MQ7G8gubEFo4mHQ9kQizjvVcw_A3GDkPvTGptyyBc4o",
    },
  ],
});

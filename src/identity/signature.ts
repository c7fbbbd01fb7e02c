import { createPublicKey, type KeyObject, sign, verify } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { AlgorithmIdentifier } from "@peculiar/asn1-x509";
import type { Signing } from "#base/certificate.ts";
import { WeftError } from "#base/errors.ts";

/** DER of NULL, the parameters of PKCS #1 signatures (RFC 4055). */
const nullParameters = new Uint8Array([5, 0]).buffer;

/** Signature algorithms by their identifiers (RFC 5758, RFC 4055), each with its hash and the type of key it is made with. */
const algorithms: Readonly<Record<string, { readonly hash: string; readonly type: "ec" | "rsa" }>> = {
  "1.2.840.10045.4.3.2": { hash: "sha256", type: "ec" },
  "1.2.840.10045.4.3.3": { hash: "sha384", type: "ec" },
  "1.2.840.10045.4.3.4": { hash: "sha512", type: "ec" },
  "1.2.840.113549.1.1.11": { hash: "sha256", type: "rsa" },
  "1.2.840.113549.1.1.12": { hash: "sha384", type: "rsa" },
  "1.2.840.113549.1.1.13": { hash: "sha512", type: "rsa" },
};

/** Hash by curve, as strong as the curve is; the names are OpenSSL's for P-256, P-384 and P-521. */
const curves: Readonly<Record<string, string>> = {
  prime256v1: "1.2.840.10045.4.3.2",
  secp384r1: "1.2.840.10045.4.3.3",
  secp521r1: "1.2.840.10045.4.3.4",
};

/** Bits of RSA keys: fewer are weak, with more one handshake costs too much. */
const rsaBits = { least: 2048, most: 8192 } as const;
const largestExponent = 2n ** 31n;

/** What is wrong with a key for certificates, as the end of a sentence that begins with the key; undefined when nothing is. */
export function keyProblem(key: KeyObject): string | undefined {
  const { namedCurve, modulusLength = 0, publicExponent = 0n } = key.asymmetricKeyDetails ?? {};
  if (key.asymmetricKeyType === "ec") {
    const taken = namedCurve !== undefined && namedCurve in curves;
    return taken ? undefined : "is not of a curve that is taken: P-256, P-384 or P-521";
  }
  if (key.asymmetricKeyType !== "rsa") {
    return "is of a type that is not taken; use ECDSA on P-256, or RSA of 2048 bits or more";
  }
  if (modulusLength < rsaBits.least || modulusLength > rsaBits.most) {
    return `has ${modulusLength} bits; RSA keys are taken from ${rsaBits.least} to ${rsaBits.most} bits`;
  }
  return publicExponent < largestExponent ? undefined : "has a public exponent that is too large";
}

/** How a key signs: RSA by PKCS #1 with SHA-256, ECDSA with the hash of its curve. */
export function signingOf(key: KeyObject): Signing {
  const rsa = key.asymmetricKeyType === "rsa";
  const algorithm = rsa ? "1.2.840.113549.1.1.11" : (curves[key.asymmetricKeyDetails?.namedCurve ?? ""] ?? "");
  const { hash } = algorithms[algorithm] ?? {};
  if (hash === undefined) throw new WeftError("Internal", "there is no algorithm for the signing key");
  const named = new AlgorithmIdentifier({ algorithm, ...(rsa && { parameters: nullParameters }) });
  return { algorithm: new Uint8Array(AsnConvert.serialize(named)), sign: (bytes) => sign(hash, bytes, key) };
}

/** A signature and what it stands under. */
export interface Signed {
  readonly bytes: ArrayBuffer;
  readonly algorithm: AlgorithmIdentifier;
  readonly signature: ArrayBuffer;
}

/** Whether a signature is that of a key. */
export function isSignedBy({ bytes, algorithm, signature }: Signed, key: KeyObject): boolean {
  const known = algorithms[algorithm.algorithm];
  if (!known || known.type !== key.asymmetricKeyType) return false;
  return verify(known.hash, new Uint8Array(bytes), key, new Uint8Array(signature));
}

/**
 * Reads a public key.
 * @param bytes a SubjectPublicKeyInfo in DER.
 * @throws WeftError `InvalidArgument` for a key that is broken, weak or of a type that is not taken.
 */
export function readPublicKey(bytes: ArrayBuffer): KeyObject {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(bytes), format: "der", type: "spki" });
  } catch (error) {
    throw new WeftError("InvalidArgument", "the public key cannot be read", error);
  }
  const problem = keyProblem(key);
  if (problem !== undefined) throw new WeftError("InvalidArgument", `the public key ${problem}`);
  return key;
}

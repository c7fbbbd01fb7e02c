import { generateKeyPairSync, sign, type KeyObject } from "node:crypto";
import { bits, der, identifier, integer, pem, sequence } from "#base/der.ts";

/** A new key of a workload, and the request (PKCS #10, RFC 2986) that asks for a certificate of it. */
export interface SigningRequest {
  /** EC P-256. It stays in memory. */
  readonly key: KeyObject;
  /** The request as a PEM text. */
  readonly request: string;
}

/** Identifiers in DER: RFC 2985, RFC 5280, RFC 5758. */
const oid = {
  extensionRequest: [0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e],
  subjectAltName: [0x55, 0x1d, 0x11],
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
} as const;

const yes = der(0x01, Buffer.from([0xff]));

/** The identity as the only name; critical, since there is no subject. */
function extensions(identity: string): Buffer {
  const names = sequence(der(0x86, Buffer.from(identity)));
  const list = sequence(sequence(identifier(oid.subjectAltName), yes, der(0x04, names)));
  return der(0xa0, sequence(identifier(oid.extensionRequest), der(0x31, list)));
}

/**
 * Makes a key and a request for an identity. Written here and not by a library, which would cost every agent 20 MB.
 * @param identity a SPIFFE id.
 */
export function newSigningRequest(identity: string): SigningRequest {
  const { publicKey, privateKey } = generateKeyPairSync("ec", { namedCurve: "prime256v1" });
  const version = integer(Buffer.from([0]));
  const spki = publicKey.export({ type: "spki", format: "der" });
  const body = sequence(version, sequence(), spki, extensions(identity));
  const signature = bits(sign("sha256", body, privateKey));
  const request = sequence(body, sequence(identifier(oid.ecdsaWithSha256)), signature);
  return { key: privateKey, request: pem("CERTIFICATE REQUEST", request) };
}

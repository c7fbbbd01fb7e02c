import type { KeyObject } from "node:crypto";
import { CertificationRequest, type CertificationRequestInfo } from "@peculiar/asn1-csr";
import { AsnConvert } from "@peculiar/asn1-schema";
import { signedSequence } from "#base/certificate.ts";
import { der, integer, pem, sequence } from "#base/der.ts";
import { WeftError } from "#base/errors.ts";
import { onlyBlock } from "./pem.ts";
import { isSignedBy, readPublicKey, signingOf } from "./signature.ts";

/** Characters of a request: one with an RSA key of 8192 bits and a few names has less than half of them. */
const mostCharacters = 16_384;
const label = "CERTIFICATE REQUEST";

/** A pair of keys. */
export interface KeyPair {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
}

/**
 * A certificate signing request (PKCS #10, RFC 2986) as PEM. It says nothing but whose key it is: who that is, the mesh's
 * authority knows from the caller.
 */
export function makeSigningRequest({ publicKey, privateKey }: KeyPair): string {
  const version = integer(Buffer.from([0]));
  const info = sequence(version, sequence(), publicKey.export({ type: "spki", format: "der" }), der(0xa0));
  return pem(label, signedSequence(info, signingOf(privateKey)));
}

/** Whether bytes are one SEQUENCE in DER and nothing after it, which the reader would pass over. */
function isOneSequence(bytes: Buffer): boolean {
  const [tag, length = 0] = bytes;
  const more = length === 0x81 ? 1 : length === 0x82 ? 2 : 0;
  if (tag !== 0x30 || bytes.length < 2 + more || (length > 0x7f && more === 0)) return false;
  return bytes.length === 2 + more + (more === 0 ? length : bytes.readUIntBE(2, more));
}

function decoded(bytes: Buffer): CertificationRequest {
  let request: CertificationRequest;
  try {
    if (!isOneSequence(bytes)) throw new TypeError("the length is wrong");
    request = AsnConvert.parse(bytes, CertificationRequest);
  } catch (error) {
    throw new WeftError("InvalidArgument", "it is not a PKCS #10 request in DER", error);
  }
  const { certificationRequestInfoRaw: raw } = request;
  if (!raw || request.certificationRequestInfo.version !== 0) {
    throw new WeftError("InvalidArgument", "it is not a PKCS #10 request of version 1");
  }
  return request;
}

/** The key of a request, in DER again: a reader takes identifiers that no writer can write. */
function keyOf({ subjectPKInfo }: CertificationRequestInfo): ArrayBuffer {
  try {
    return AsnConvert.serialize(subjectPKInfo);
  } catch (error) {
    throw new WeftError("InvalidArgument", "the public key cannot be read", error);
  }
}

/**
 * Reads a signing request: its form, its key, and that the caller has the key. Names and extensions that it asks for
 * are passed over.
 * @param text PEM.
 * @returns the key.
 * @throws WeftError `InvalidArgument` with what is wrong, without what the request holds.
 */
export function readSigningRequest(text: string): KeyObject {
  if (text.length > mostCharacters) {
    throw new WeftError("InvalidArgument", `it has ${text.length} characters; the limit is ${mostCharacters}`);
  }
  const request = decoded(onlyBlock(text, [label, "NEW CERTIFICATE REQUEST"]));
  const { certificationRequestInfo: info, certificationRequestInfoRaw: raw, signatureAlgorithm, signature } = request;
  const key = readPublicKey(keyOf(info));
  if (!raw || !isSignedBy({ bytes: raw, algorithm: signatureAlgorithm, signature }, key)) {
    throw new WeftError("InvalidArgument", "its signature is not that of its key");
  }
  return key;
}

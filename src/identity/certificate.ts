import { createHash, type KeyObject, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { AsnConvert } from "@peculiar/asn1-schema";
import { Certificate, id_ce_subjectKeyIdentifier, SubjectKeyIdentifier } from "@peculiar/asn1-x509";
import { bits, certificateTime, der, identifier, integer, pem, sequence } from "#base/der.ts";
import { WeftError } from "#base/errors.ts";
import { algorithmOf, signBytes } from "./signature.ts";

/** When a certificate is valid, in milliseconds since the epoch; certificates hold whole seconds. */
export interface Validity {
  readonly from: number;
  readonly until: number;
}

/** Milliseconds that a certificate is valid before it was made, for clocks that are late: Istio's grace. */
export const backdateMs = 120_000;

/** What a workload's or a server's certificate says. */
export interface LeafRequest {
  readonly publicKey: KeyObject;
  /** Its subject's other names: SPIFFE ids, DNS names, IPv4 addresses. */
  readonly names: readonly string[];
  readonly validity: Validity;
}

/** Who signs, as a certificate names it. Read once, not for each certificate. */
export interface Issuer {
  /** Its subject in DER, byte by byte as it stands in its own certificate. */
  readonly name: Buffer;
  /** The extension that tells its key from others under that name; empty where its certificate has no identifier of it. */
  readonly keyExtension: Buffer;
  readonly key: KeyObject;
}

/** Identifiers of extensions (RFC 5280 4.2.1) and of what stands in them, in DER. */
const oid = {
  organization: [0x55, 0x04, 0x0a],
  subjectKeyIdentifier: [0x55, 0x1d, 0x0e],
  keyUsage: [0x55, 0x1d, 0x0f],
  subjectAltName: [0x55, 0x1d, 0x11],
  basicConstraints: [0x55, 0x1d, 0x13],
  authorityKeyIdentifier: [0x55, 0x1d, 0x23],
  extendedKeyUsage: [0x55, 0x1d, 0x25],
  serverAuth: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01],
  clientAuth: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02],
} as const;

const isTrue = der(0x01, Buffer.from([0xff]));

function extension(id: readonly number[], value: Buffer, critical = false): Buffer {
  return sequence(identifier(id), ...(critical ? [isTrue] : []), der(0x04, value));
}

/** Bits of KeyUsage, of which some last ones are not used. */
function keyUsage(byte: number, unused: number): Buffer {
  return extension(oid.keyUsage, der(0x03, Buffer.from([unused, byte])), true);
}

/** digitalSignature and keyEncipherment; server and client; never an authority. */
const leafUsages = [
  keyUsage(0b1010_0000, 5),
  extension(oid.extendedKeyUsage, sequence(identifier(oid.serverAuth), identifier(oid.clientAuth))),
  extension(oid.basicConstraints, sequence(), true),
];

/** keyCertSign and cRLSign; an authority. */
const rootUsages = [keyUsage(0b0000_0110, 1), extension(oid.basicConstraints, sequence(isTrue), true)];

/** A GeneralName: a URI, an address, or a DNS name. */
function generalName(name: string): Buffer {
  if (name.includes("://")) return der(0x86, Buffer.from(name, "ascii"));
  if (isIP(name) === 4) return der(0x87, Buffer.from(name.split(".").map(Number)));
  return der(0x82, Buffer.from(name, "ascii"));
}

/** 127 bits at random, positive and without a zero in front, as RFC 5280 4.1.2.2 and DER want it. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return integer(bytes);
}

interface Body {
  readonly issuer: Buffer;
  readonly subject: Buffer;
  readonly publicKey: KeyObject;
  readonly validity: Validity;
  readonly extensions: readonly Buffer[];
}

/** The version of certificates with extensions. */
const version3 = der(0xa0, integer(Buffer.from([2])));

function signed({ issuer, subject, publicKey, validity, extensions }: Body, signingKey: KeyObject): string {
  const algorithm = Buffer.from(AsnConvert.serialize(algorithmOf(signingKey)));
  const [from, until] = [new Date(validity.from), new Date(validity.until)];
  const body = sequence(
    version3,
    serialNumber(),
    algorithm,
    issuer,
    sequence(certificateTime(from), certificateTime(until)),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  const signature = new Uint8Array(signBytes(new Uint8Array(body).buffer, signingKey));
  return pem("CERTIFICATE", sequence(body, algorithm, bits(signature)));
}

/**
 * Reads who signs.
 * @param certificate in DER.
 */
export function readIssuer(certificate: Uint8Array, key: KeyObject): Issuer {
  const { tbsCertificate } = AsnConvert.parse(certificate, Certificate);
  const own = tbsCertificate.extensions?.find(({ extnID }) => extnID === id_ce_subjectKeyIdentifier);
  const identifierOfKey = own && AsnConvert.parse(own.extnValue.buffer, SubjectKeyIdentifier).buffer;
  return {
    name: Buffer.from(AsnConvert.serialize(tbsCertificate.subject)),
    keyExtension: identifierOfKey
      ? extension(oid.authorityKeyIdentifier, sequence(der(0x80, new Uint8Array(identifierOfKey))))
      : Buffer.alloc(0),
    key,
  };
}

/**
 * A certificate as Istio's authority makes them: without a subject, so that the other names are critical; for servers and
 * clients; never for signing others.
 * @returns PEM.
 */
export function leafCertificate({ publicKey, names, validity }: LeafRequest, issuer: Issuer): string {
  const altName = extension(oid.subjectAltName, sequence(...names.map(generalName)), true);
  const extensions = [...leafUsages, issuer.keyExtension, altName];
  return signed({ issuer: issuer.name, subject: sequence(), publicKey, validity, extensions }, issuer.key);
}

/** What a root says of itself. */
export interface RootRequest {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  /** The organization, which Istio makes the trust domain. */
  readonly organization: string;
  readonly validity: Validity;
}

/** A key's identifier: a hash of it, by which certificates that it signs name it (RFC 5280 4.2.1.2). */
function keyIdentifier(key: KeyObject): Buffer {
  return createHash("sha256")
    .update(key.export({ type: "spki", format: "der" }))
    .digest()
    .subarray(0, 20);
}

/**
 * A self-signed authority.
 * @returns PEM.
 */
export function rootCertificate({ publicKey, privateKey, organization, validity }: RootRequest): string {
  if (organization === "") throw new WeftError("InvalidArgument", "an authority needs an organization");
  const attribute = sequence(identifier(oid.organization), der(0x0c, Buffer.from(organization)));
  const name = sequence(der(0x31, attribute));
  const own = extension(oid.subjectKeyIdentifier, der(0x04, keyIdentifier(publicKey)));
  const extensions = [...rootUsages, own];
  return signed({ issuer: name, subject: name, publicKey, validity, extensions }, privateKey);
}

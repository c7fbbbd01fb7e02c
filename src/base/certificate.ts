/** Making X.509 certificates (RFC 5280), as the mesh's authority and those of APIs do. Whoever signs brings the algorithm. */
import { createHash, type KeyObject, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { bits, certificateTime, der, identifier, integer, pem, sequence } from "./der.ts";

/** When a certificate is valid, in milliseconds since the epoch; certificates hold whole seconds. */
export interface Validity {
  readonly from: number;
  readonly until: number;
}

/** A key that signs, with its algorithm. */
export interface Signing {
  /** An AlgorithmIdentifier in DER. */
  readonly algorithm: Uint8Array;
  sign(bytes: Uint8Array): Uint8Array;
}

/** What a certificate says. */
export interface CertificateContent {
  /** Names in DER; equal ones make a certificate that signs itself. */
  readonly issuer: Uint8Array;
  readonly subject: Uint8Array;
  readonly publicKey: KeyObject;
  readonly validity: Validity;
  /** In DER, as this file makes them. */
  readonly extensions: readonly Uint8Array[];
}

/** Identifiers in DER: of attributes of names (X.520), of extensions (RFC 5280 4.2.1) and of what stands in them. */
const oid = {
  commonName: [0x55, 0x04, 0x03],
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

function extension(id: readonly number[], value: Uint8Array, critical = false): Buffer {
  return sequence(identifier(id), ...(critical ? [isTrue] : []), der(0x04, value));
}

/** A name of attributes, in their order. */
export function distinguishedName(
  ...attributes: readonly (readonly [type: "commonName" | "organization", text: string])[]
): Buffer {
  const parts = attributes.map(([type, text]) => sequence(identifier(oid[type]), der(0x0c, Buffer.from(text))));
  return sequence(...parts.map((part) => der(0x31, part)));
}

/** Bits of KeyUsage by their places. */
const keyUses = { digitalSignature: 0, keyEncipherment: 2, keyCertSign: 5, cRLSign: 6 } as const;

/** What a key may be used for. */
export function keyUsage(...uses: readonly (keyof typeof keyUses)[]): Buffer {
  const places = uses.map((use) => keyUses[use]);
  const byte = places.reduce<number>((sum, place) => sum | (0x80 >> place), 0);
  return extension(oid.keyUsage, der(0x03, Buffer.from([7 - Math.max(...places), byte])), true);
}

/** At which end of TLS a certificate may stand. */
export function extendedKeyUsage(...uses: readonly ("serverAuth" | "clientAuth")[]): Buffer {
  return extension(oid.extendedKeyUsage, sequence(...uses.map((use) => identifier(oid[use]))));
}

/** That the holder signs no certificates. */
export const noAuthority = extension(oid.basicConstraints, sequence(), true);

/** That the holder signs certificates, and how many authorities may stand below it: any number unless told. */
export function isAuthority(below?: number): Buffer {
  const limit = below === undefined ? [] : [integer(Buffer.from([below]))];
  return extension(oid.basicConstraints, sequence(isTrue, ...limit), true);
}

/** The 16 bytes of an IPv6 address, whose zone no certificate can say. */
function ipv6Bytes(address: string): Buffer {
  // As URLs write it: at most one gap, and no dotted end.
  const text = new URL(`http://[${address.replace(/%.*$/, "")}]`).hostname.slice(1, -1);
  const [head = [], tail = []] = text.split("::").map((part) => part.split(":").filter(Boolean));
  const gap = Array.from({ length: 8 - head.length - tail.length }, () => "0");
  return Buffer.from([...head, ...gap, ...tail].map((group) => group.padStart(4, "0")).join(""), "hex");
}

/** A GeneralName: a URI, an address, or a DNS name. */
function generalName(name: string): Buffer {
  if (name.includes("://")) return der(0x86, Buffer.from(name, "ascii"));
  if (isIP(name) === 4) return der(0x87, Buffer.from(name.split(".").map(Number)));
  if (isIP(name) === 6) return der(0x87, ipv6Bytes(name));
  return der(0x82, Buffer.from(name, "ascii"));
}

/**
 * Other names of the subject: URIs, addresses, DNS names.
 * @param only whether the subject has no name but these, which makes them critical.
 */
export function subjectAltName(names: readonly string[], only = false): Buffer {
  return extension(oid.subjectAltName, sequence(...names.map(generalName)), only);
}

/** A key itself, as it stands in the bits of a SubjectPublicKeyInfo. */
function publicKeyBytes(key: KeyObject): Uint8Array {
  if (key.asymmetricKeyType === "rsa") return key.export({ type: "pkcs1", format: "der" });
  const { x = "", y = "" } = key.export({ format: "jwk" });
  return Buffer.concat([Buffer.from([0x04]), Buffer.from(x, "base64url"), Buffer.from(y, "base64url")]);
}

/** By what certificates name a public key, RSA or ECDSA: RFC 5280 4.2.1.2, method 1. */
export function keyIdentifier(key: KeyObject): Buffer {
  return createHash("sha1").update(publicKeyBytes(key)).digest();
}

/** The key of the subject. */
export function subjectKeyIdentifier(id: Uint8Array): Buffer {
  return extension(oid.subjectKeyIdentifier, der(0x04, id));
}

/** The key of who signed: what that one's own certificate calls it. */
export function authorityKeyIdentifier(id: Uint8Array): Buffer {
  return extension(oid.authorityKeyIdentifier, sequence(der(0x80, id)));
}

/** Bytes with a signature of them, as certificates, requests for them, and lists of revoked ones have it. */
export function signedSequence(body: Uint8Array, signing: Signing): Buffer {
  return sequence(body, signing.algorithm, bits(signing.sign(body)));
}

/** 127 bits at random, positive and without a zero in front, as RFC 5280 4.1.2.2 and DER want it. */
function serialNumber(): Buffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return integer(bytes);
}

/** The version of certificates with extensions. */
const version3 = der(0xa0, integer(Buffer.from([2])));

/** Makes a certificate. @returns PEM. */
export function makeCertificate(content: CertificateContent, signing: Signing): string {
  const { issuer, subject, publicKey, validity, extensions } = content;
  const body = sequence(
    version3,
    serialNumber(),
    signing.algorithm,
    issuer,
    sequence(certificateTime(new Date(validity.from)), certificateTime(new Date(validity.until))),
    subject,
    publicKey.export({ type: "spki", format: "der" }),
    der(0xa3, sequence(...extensions)),
  );
  return pem("CERTIFICATE", signedSequence(body, signing));
}

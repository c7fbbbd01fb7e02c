import { createHash, generateKeyPairSync, type KeyObject, sign, X509Certificate } from "node:crypto";
import {
  distinguishedName,
  isAuthority,
  makeCertificate,
  noAuthority,
  signedSequence,
  type Signing,
  subjectAltName,
} from "../certificate.ts";
import { der, identifier, integer, pem, sequence, time } from "../der.ts";

/** A certificate with its key, as PEM texts. */
export interface Certificate {
  readonly certificate: string;
  readonly key: string;
}

/** A certificate that is asked for. */
export interface CertificateRequest {
  /** DNS names, addresses or URIs. */
  readonly names: readonly string[];
  /** Bits of an RSA key; an ECDSA key unless told. */
  readonly rsa?: number;
  /** Curve of an ECDSA key, P-256 unless told. */
  readonly curve?: string;
  /** From an hour ago for a day unless told. */
  readonly from?: Date;
  readonly until?: Date;
}

/** Signs certificates: an authority that tests make for themselves; its own certificate has no name but a subject. */
export interface Authority extends Certificate {
  /** A certificate for names: DNS names, addresses or URIs. */
  issue(...names: readonly string[]): Certificate;
  /** A certificate as asked for. */
  issueFor(request: CertificateRequest): Certificate;
  /** A certificate, as a PEM text, of a key that another holds. */
  certify(publicKey: KeyObject, request: CertificateRequest): string;
  /** An authority that this one vouches for. */
  subordinate(subject: string): Authority;
  /** The list of these certificates as revoked ones (RFC 5280), as a PEM text. */
  revoke(...certificates: readonly string[]): string;
  /** A response of OCSP (RFC 6960) that a certificate is good, in DER. */
  staple(certificate: string): Buffer;
}

/** Identifiers in DER, of RFC 5758 and RFC 6960. */
const oid = {
  ecdsaWithSha256: [0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02],
  sha1: [0x2b, 0x0e, 0x03, 0x02, 0x1a],
  basicOcsp: [0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01],
} as const;

const algorithm = sequence(identifier(oid.ecdsaWithSha256));
const dayMs = 86_400_000;

function nameOf(common: string): Buffer {
  return distinguishedName(["commonName", common]);
}

function signingOf(key: KeyObject): Signing {
  return { algorithm, sign: (bytes) => sign("sha256", bytes, key) };
}

interface Subject {
  readonly name: string;
  readonly publicKey: KeyObject;
  readonly authority: boolean;
}

function signed(
  { name, publicKey, authority }: Subject,
  { names, from, until }: CertificateRequest,
  issuer: string,
  key: KeyObject,
): string {
  const now = Date.now();
  const validity = { from: from?.getTime() ?? now - 3_600_000, until: until?.getTime() ?? now + dayMs };
  const extensions = [authority ? isAuthority() : noAuthority, ...(names.length > 0 ? [subjectAltName(names)] : [])];
  return makeCertificate(
    { issuer: nameOf(issuer), subject: nameOf(name), publicKey, validity, extensions },
    signingOf(key),
  );
}

function serialOf(certificate: string): Buffer {
  return integer(Buffer.from(new X509Certificate(certificate).serialNumber, "hex"));
}

function revoked(certificates: readonly string[], issuer: string, key: KeyObject): string {
  const now = Date.now();
  const entries = certificates.map((each) => sequence(serialOf(each), time(new Date(now - 60_000))));
  const body = sequence(
    integer(Buffer.from([1])),
    algorithm,
    nameOf(issuer),
    time(new Date(now - 60_000)),
    time(new Date(now + dayMs)),
    ...(entries.length > 0 ? [sequence(...entries)] : []),
  );
  return pem("X509 CRL", signedSequence(body, signingOf(key)));
}

function hash(bytes: Uint8Array): Buffer {
  return der(0x04, createHash("sha1").update(bytes).digest());
}

function good(
  certificate: string,
  issuer: string,
  own: { readonly publicKey: KeyObject; readonly privateKey: KeyObject },
) {
  const now = Date.now();
  // The point itself: what stands last in the key's encoding.
  const publicBytes = own.publicKey.export({ type: "spki", format: "der" }).subarray(-65);
  const about = sequence(
    sequence(identifier(oid.sha1)),
    hash(nameOf(issuer)),
    hash(publicBytes),
    serialOf(certificate),
  );
  const until = der(0xa0, time(new Date(now + dayMs)));
  const answer = sequence(about, der(0x80), time(new Date(now - 60_000)), until);
  const body = sequence(der(0xa1, nameOf(issuer)), time(new Date(now - 60_000)), sequence(answer));
  const basic = sequence(identifier(oid.basicOcsp), der(0x04, signedSequence(body, signingOf(own.privateKey))));
  return sequence(der(0x0a, Buffer.from([0])), der(0xa0, basic));
}

type KeyPair = ReturnType<typeof newKeys>;

function newKeys() {
  return generateKeyPairSync("ec", { namedCurve: "prime256v1" });
}

/** A new authority. */
export function createAuthority(subject: string): Authority {
  const own = newKeys();
  const self = { name: subject, publicKey: own.publicKey, authority: true };
  return authorityOf(subject, own, signed(self, { names: [] }, subject, own.privateKey));
}

function authorityOf(subject: string, own: KeyPair, ownCertificate: string): Authority {
  const certify = (publicKey: KeyObject, request: CertificateRequest): string =>
    signed({ name: request.names[0] ?? "nobody", publicKey, authority: false }, request, subject, own.privateKey);
  const issueFor = (request: CertificateRequest): Certificate => {
    const { rsa, curve = "prime256v1" } = request;
    const { publicKey, privateKey } =
      rsa === undefined
        ? generateKeyPairSync("ec", { namedCurve: curve })
        : generateKeyPairSync("rsa", { modulusLength: rsa });
    return { certificate: certify(publicKey, request), key: privateKey.export({ type: "pkcs8", format: "pem" }) };
  };
  return {
    certificate: ownCertificate,
    key: own.privateKey.export({ type: "pkcs8", format: "pem" }),
    issue: (...names) => issueFor({ names }),
    issueFor,
    certify,
    subordinate: (name) => {
      const keys = newKeys();
      const holder = { name, publicKey: keys.publicKey, authority: true };
      return authorityOf(name, keys, signed(holder, { names: [] }, subject, own.privateKey));
    },
    revoke: (...certificates) => revoked(certificates, subject, own.privateKey),
    staple: (certificate) => good(certificate, subject, own),
  };
}

import { createHash, createPublicKey, randomBytes, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import {
  AttributeTypeAndValue,
  AttributeValue,
  AuthorityKeyIdentifier,
  BasicConstraints,
  Certificate,
  ExtendedKeyUsage,
  Extension,
  Extensions,
  GeneralName,
  KeyIdentifier,
  KeyUsage,
  KeyUsageFlags,
  Name,
  RelativeDistinguishedName,
  SubjectAlternativeName,
  SubjectKeyIdentifier,
  SubjectPublicKeyInfo,
  TBSCertificate,
  Validity,
  Version,
  id_ce_authorityKeyIdentifier,
  id_ce_basicConstraints,
  id_ce_extKeyUsage,
  id_ce_keyUsage,
  id_ce_subjectAltName,
  id_ce_subjectKeyIdentifier,
  id_kp_clientAuth,
  id_kp_serverAuth,
} from "@peculiar/asn1-x509";
import { pem } from "#base/der.ts";
import { algorithmOf, signBytes } from "#identity/signature.ts";

/** Whom a certificate is for: Kubernetes reads the common name as the user and organizations as groups. */
export interface Subject {
  readonly commonName: string;
  readonly organizations?: readonly string[];
}

/** What a certificate may be used for, with what that needs. */
export type Usage =
  | { readonly kind: "authority" }
  | { readonly kind: "client" }
  /** DNS names and IP addresses. */
  | { readonly kind: "server"; readonly names: readonly string[] };

/** A certificate that is to be made. */
export interface CertificateOrder {
  readonly subject: Subject;
  readonly usage: Usage;
  readonly publicKey: KeyObject;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
  /** The authority; a certificate that signs itself has its own subject and key here. */
  readonly issuer: { readonly subject: Subject; readonly key: KeyObject };
}

const attribute = { commonName: "2.5.4.3", organization: "2.5.4.10" } as const;

function namePart(type: string, text: string): RelativeDistinguishedName {
  return new RelativeDistinguishedName([
    new AttributeTypeAndValue({ type, value: new AttributeValue({ utf8String: text }) }),
  ]);
}

function nameOf({ commonName, organizations = [] }: Subject): Name {
  const groups = organizations.map((text) => namePart(attribute.organization, text));
  return new Name([...groups, namePart(attribute.commonName, commonName)]);
}

function publicKeyInfo(key: KeyObject): SubjectPublicKeyInfo {
  return AsnConvert.parse(key.export({ type: "spki", format: "der" }), SubjectPublicKeyInfo);
}

/** RFC 5280, 4.2.1.2, method 1. */
function keyId(key: KeyObject): ArrayBuffer {
  return new Uint8Array(
    createHash("sha1")
      .update(Buffer.from(publicKeyInfo(key).subjectPublicKey))
      .digest(),
  ).buffer;
}

function extension(extnID: string, value: object, critical = false): Extension {
  return new Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function generalName(name: string): GeneralName {
  return new GeneralName(isIP(name) === 0 ? { dNSName: name } : { iPAddress: name });
}

function keyUsage(flags: number): Extension {
  return extension(id_ce_keyUsage, new KeyUsage(flags), true);
}

function usageExtensions(usage: Usage): readonly Extension[] {
  switch (usage.kind) {
    case "authority":
      return [
        keyUsage(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign),
        extension(id_ce_basicConstraints, new BasicConstraints({ cA: true, pathLenConstraint: 0 }), true),
      ];
    case "client":
      return [
        keyUsage(KeyUsageFlags.digitalSignature),
        extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_clientAuth])),
      ];
    case "server":
      return [
        keyUsage(KeyUsageFlags.digitalSignature),
        extension(id_ce_extKeyUsage, new ExtendedKeyUsage([id_kp_serverAuth])),
        extension(id_ce_subjectAltName, new SubjectAlternativeName(usage.names.map(generalName))),
      ];
  }
}

/** A serial number that is positive and nobody can guess (RFC 5280, 4.1.2.2). */
function serialNumber(): ArrayBuffer {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return new Uint8Array(bytes).buffer;
}

/** Makes a certificate (RFC 5280) and signs it. @returns PEM. */
export function makeCertificate({ subject, usage, publicKey, issuer, ...order }: CertificateOrder): string {
  const signatureAlgorithm = algorithmOf(issuer.key);
  const tbsCertificate = new TBSCertificate({
    version: Version.v3,
    serialNumber: serialNumber(),
    signature: signatureAlgorithm,
    issuer: nameOf(issuer.subject),
    subject: nameOf(subject),
    validity: new Validity({
      notBefore: new Date(order.notBefore),
      notAfter: new Date(order.notAfter),
    }),
    subjectPublicKeyInfo: publicKeyInfo(publicKey),
    extensions: new Extensions([
      ...usageExtensions(usage),
      extension(id_ce_subjectKeyIdentifier, new SubjectKeyIdentifier(keyId(publicKey))),
      extension(
        id_ce_authorityKeyIdentifier,
        new AuthorityKeyIdentifier({ keyIdentifier: new KeyIdentifier(keyId(createPublicKey(issuer.key))) }),
      ),
    ]),
  });
  const signatureValue = signBytes(AsnConvert.serialize(tbsCertificate), issuer.key);
  const certificate = new Certificate({ tbsCertificate, signatureAlgorithm, signatureValue });
  return pem("CERTIFICATE", Buffer.from(AsnConvert.serialize(certificate)));
}

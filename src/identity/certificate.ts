import { createHash, type KeyObject, randomBytes } from "node:crypto";
import { isIP } from "node:net";
import { AsnConvert, OctetString } from "@peculiar/asn1-schema";
import * as x509 from "@peculiar/asn1-x509";
import { WeftError } from "#base/errors.ts";
import { pemText } from "./pem.ts";
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
  /** Its subject's other names: SPIFFE ids, DNS names, addresses. */
  readonly names: readonly string[];
  readonly validity: Validity;
}

/** The certificate and the key that sign. */
export interface Issuer {
  /** DER. */
  readonly certificate: Uint8Array;
  readonly key: KeyObject;
}

/** Bits of `KeyUsage` (RFC 5280 4.2.1.3). */
const { digitalSignature, keyEncipherment, keyCertSign, cRLSign } = x509.KeyUsageFlags;

/** Bytes of a serial number: 127 bits at random, as positive as RFC 5280 wants them. */
const serialBytes = 16;

function serialNumber(): ArrayBuffer {
  const bytes = new Uint8Array(randomBytes(serialBytes));
  // Neither negative nor with a zero in front, which DER does not allow.
  bytes[0] = ((bytes[0] ?? 0) & 0x3f) | 0x40;
  return bytes.buffer;
}

function extension(extnID: string, value: unknown, critical = false): x509.Extension {
  return new x509.Extension({ extnID, critical, extnValue: new OctetString(AsnConvert.serialize(value)) });
}

function generalName(name: string): x509.GeneralName {
  if (name.includes("://")) return new x509.GeneralName({ uniformResourceIdentifier: name });
  return new x509.GeneralName(isIP(name) === 0 ? { dNSName: name } : { iPAddress: name });
}

/** A key's identifier by the first method of RFC 5280 4.2.1.2. */
function keyIdentifier(key: x509.SubjectPublicKeyInfo): ArrayBuffer {
  const digest = createHash("sha1").update(new Uint8Array(key.subjectPublicKey)).digest();
  return new Uint8Array(digest).buffer;
}

function keyInfo(key: KeyObject): x509.SubjectPublicKeyInfo {
  return AsnConvert.parse(key.export({ type: "spki", format: "der" }), x509.SubjectPublicKeyInfo);
}

interface Body {
  readonly issuer: x509.Name;
  readonly subject: x509.Name;
  readonly key: x509.SubjectPublicKeyInfo;
  readonly validity: Validity;
  readonly extensions: readonly x509.Extension[];
}

function signed({ issuer, subject, key, validity, extensions }: Body, signingKey: KeyObject): string {
  const algorithm = algorithmOf(signingKey);
  const tbsCertificate = new x509.TBSCertificate({
    version: x509.Version.v3,
    serialNumber: serialNumber(),
    signature: algorithm,
    issuer,
    subject,
    validity: new x509.Validity({ notBefore: new Date(validity.from), notAfter: new Date(validity.until) }),
    subjectPublicKeyInfo: key,
    extensions: new x509.Extensions([...extensions]),
  });
  const certificate = new x509.Certificate({
    tbsCertificate,
    signatureAlgorithm: algorithm,
    signatureValue: signBytes(AsnConvert.serialize(tbsCertificate), signingKey),
  });
  return pemText("CERTIFICATE", new Uint8Array(AsnConvert.serialize(certificate)));
}

/** The identifier of an issuer's key, as its own certificate has it. */
function issuerIdentifier({ tbsCertificate }: x509.Certificate): x509.Extension | undefined {
  const own = tbsCertificate.extensions?.find(({ extnID }) => extnID === x509.id_ce_subjectKeyIdentifier);
  if (!own) return undefined;
  const keyIdentifier = AsnConvert.parse(own.extnValue.buffer, x509.SubjectKeyIdentifier);
  return extension(x509.id_ce_authorityKeyIdentifier, new x509.AuthorityKeyIdentifier({ keyIdentifier }));
}

const leafUsages = [
  extension(x509.id_ce_keyUsage, new x509.KeyUsage(digitalSignature | keyEncipherment), true),
  extension(x509.id_ce_extKeyUsage, new x509.ExtendedKeyUsage([x509.id_kp_serverAuth, x509.id_kp_clientAuth])),
  extension(x509.id_ce_basicConstraints, new x509.BasicConstraints({ cA: false }), true),
];

/**
 * A certificate as Istio's authority makes them: without a subject, so that the other names are critical; for servers and
 * clients; never for signing others.
 * @returns PEM.
 */
export function leafCertificate({ publicKey, names, validity }: LeafRequest, issuer: Issuer): string {
  const above = AsnConvert.parse(issuer.certificate, x509.Certificate);
  const altName = new x509.SubjectAlternativeName(names.map(generalName));
  const identifier = issuerIdentifier(above);
  return signed(
    {
      issuer: above.tbsCertificate.subject,
      subject: new x509.Name(),
      key: keyInfo(publicKey),
      validity,
      extensions: [
        ...leafUsages,
        ...(identifier ? [identifier] : []),
        extension(x509.id_ce_subjectAltName, altName, true),
      ],
    },
    issuer.key,
  );
}

/** What a root says of itself. */
export interface RootRequest {
  readonly publicKey: KeyObject;
  readonly privateKey: KeyObject;
  /** The organization, which Istio makes the trust domain. */
  readonly organization: string;
  readonly validity: Validity;
}

/**
 * A self-signed authority.
 * @returns PEM.
 */
export function rootCertificate({ publicKey, privateKey, organization, validity }: RootRequest): string {
  if (organization === "") throw new WeftError("InvalidArgument", "an authority needs an organization");
  const value = new x509.AttributeValue({ utf8String: organization });
  const attribute = new x509.AttributeTypeAndValue({ type: "2.5.4.10", value });
  const name = new x509.Name([new x509.RelativeDistinguishedName([attribute])]);
  const key = keyInfo(publicKey);
  return signed(
    {
      issuer: name,
      subject: name,
      key,
      validity,
      extensions: [
        extension(x509.id_ce_keyUsage, new x509.KeyUsage(keyCertSign | cRLSign), true),
        extension(x509.id_ce_basicConstraints, new x509.BasicConstraints({ cA: true }), true),
        extension(x509.id_ce_subjectKeyIdentifier, new x509.SubjectKeyIdentifier(keyIdentifier(key))),
      ],
    },
    privateKey,
  );
}

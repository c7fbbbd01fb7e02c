import type { KeyObject } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { Certificate, id_ce_subjectKeyIdentifier, SubjectKeyIdentifier } from "@peculiar/asn1-x509";
import {
  authorityKeyIdentifier,
  distinguishedName,
  extendedKeyUsage,
  isAuthority,
  keyIdentifier,
  keyUsage,
  makeCertificate,
  noAuthority,
  type Signing,
  subjectAltName,
  subjectKeyIdentifier,
  type Validity,
} from "#base/certificate.ts";
import { sequence } from "#base/der.ts";
import { WeftError } from "#base/errors.ts";
import { signingOf } from "./signature.ts";

/** Milliseconds that a certificate is valid before it was made, for clocks that are late: Istio's grace. */
export const backdateMs = 120_000;

/** What a workload's or a server's certificate says. */
export interface LeafRequest {
  readonly publicKey: KeyObject;
  /** Its subject's other names: SPIFFE ids, DNS names, addresses. */
  readonly names: readonly string[];
  readonly validity: Validity;
}

/** Who signs, as a certificate names it. Read once, not for each certificate. */
export interface Issuer {
  /** Its subject in DER, byte by byte as it stands in its own certificate. */
  readonly name: Buffer;
  /** The extension that tells its key from others under that name; none where its certificate has no identifier of it. */
  readonly keyExtension: readonly Buffer[];
  readonly signing: Signing;
}

const leafUsages = [
  keyUsage("digitalSignature", "keyEncipherment"),
  extendedKeyUsage("serverAuth", "clientAuth"),
  noAuthority,
];

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
    keyExtension: identifierOfKey ? [authorityKeyIdentifier(new Uint8Array(identifierOfKey))] : [],
    signing: signingOf(key),
  };
}

/**
 * A certificate as Istio's authority makes them: without a subject, so that the other names are critical; for servers and
 * clients; never for signing others.
 * @returns PEM.
 */
export function leafCertificate({ publicKey, names, validity }: LeafRequest, issuer: Issuer): string {
  const extensions = [...leafUsages, ...issuer.keyExtension, subjectAltName(names, true)];
  return makeCertificate({ issuer: issuer.name, subject: sequence(), publicKey, validity, extensions }, issuer.signing);
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
  const name = distinguishedName(["organization", organization]);
  const extensions = [
    keyUsage("keyCertSign", "cRLSign"),
    isAuthority(),
    subjectKeyIdentifier(keyIdentifier(publicKey)),
  ];
  return makeCertificate({ issuer: name, subject: name, publicKey, validity, extensions }, signingOf(privateKey));
}

import { createPublicKey, type KeyObject } from "node:crypto";
import {
  authorityKeyIdentifier,
  distinguishedName,
  extendedKeyUsage,
  isAuthority,
  keyIdentifier,
  keyUsage,
  makeCertificate,
  subjectAltName,
  subjectKeyIdentifier,
  type Validity,
} from "#base/certificate.ts";
import { signingOf } from "#identity/signature.ts";

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
  readonly validity: Validity;
  /** The authority; a certificate that signs itself has its own subject and key here. */
  readonly issuer: { readonly subject: Subject; readonly key: KeyObject };
}

function nameOf({ commonName, organizations = [] }: Subject): Buffer {
  const groups = organizations.map((text) => ["organization", text] as const);
  return distinguishedName(...groups, ["commonName", commonName]);
}

function usageExtensions(usage: Usage): readonly Buffer[] {
  switch (usage.kind) {
    case "authority":
      return [keyUsage("keyCertSign", "cRLSign"), isAuthority(0)];
    case "client":
      return [keyUsage("digitalSignature"), extendedKeyUsage("clientAuth")];
    case "server":
      return [keyUsage("digitalSignature"), extendedKeyUsage("serverAuth"), subjectAltName(usage.names)];
  }
}

/** Makes a certificate of an API's authority. @returns PEM. */
export function orderedCertificate({ subject, usage, publicKey, validity, issuer }: CertificateOrder): string {
  const extensions = [
    ...usageExtensions(usage),
    subjectKeyIdentifier(keyIdentifier(publicKey)),
    authorityKeyIdentifier(keyIdentifier(createPublicKey(issuer.key))),
  ];
  const names = { issuer: nameOf(issuer.subject), subject: nameOf(subject) };
  return makeCertificate({ ...names, publicKey, validity, extensions }, signingOf(issuer.key));
}

import { X509Certificate, type KeyObject } from "node:crypto";
import { WeftError } from "#base/errors.ts";

/** A workload's certificate with its key, as its proxy gets it. Nothing of it is ever on disk. */
export interface WorkloadCertificate {
  /** The private key: PKCS #8 in PEM. */
  readonly key: string;
  /** The leaf and what stands between it and the root, in PEM. */
  readonly chain: string;
  /** The authorities that peers are checked by, in PEM, as they came with the certificate. */
  readonly roots: readonly string[];
  /** In hexadecimal, as OpenSSL writes it. */
  readonly serialNumber: string;
  /** Milliseconds since the epoch. */
  readonly notBefore: number;
  readonly notAfter: number;
}

/** What was asked for. */
export interface Expectation {
  /** SPIFFE id. */
  readonly identity: string;
  readonly key: KeyObject;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

function wrong(why: string, cause?: unknown): WeftError {
  return new WeftError("FailedPrecondition", `the certificate that was issued ${why}`, cause);
}

/** The certificates of PEM texts, in order. @throws WeftError `InvalidArgument` where one cannot be read. */
export function certificatesIn(...texts: readonly string[]): readonly X509Certificate[] {
  const pems = texts.flatMap((text) => text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? []);
  return pems.map((pem, at) => {
    try {
      return new X509Certificate(pem);
    } catch (error) {
      throw new WeftError("InvalidArgument", `certificate ${at + 1} cannot be read`, error);
    }
  });
}

function isOf(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function checkValid({ validFromDate, validToDate }: X509Certificate, now: number, what: string): void {
  if (validFromDate.getTime() > now) throw wrong(`has ${what} that is not valid before ${validFromDate.toISOString()}`);
  if (validToDate.getTime() <= now) throw wrong(`has ${what} that expired at ${validToDate.toISOString()}`);
}

/** Follows a chain from its leaf; each must be signed by the next, and the last by a root. */
function checkChain(chain: readonly X509Certificate[], roots: readonly X509Certificate[], now: number): void {
  for (const [at, certificate] of chain.entries()) {
    const next = chain[at + 1];
    checkValid(certificate, now, at === 0 ? "a leaf" : `an intermediate, number ${at},`);
    if (next !== undefined && !next.ca) throw wrong(`has an intermediate, number ${at + 1}, that is no authority`);
    if (next !== undefined && !isOf(certificate, next))
      throw wrong(`has a chain that is broken behind number ${at + 1}`);
    if (next !== undefined) continue;
    const issuers = roots.filter((root) => isOf(certificate, root));
    if (issuers.length === 0) throw wrong("is signed by none of the roots that came with it");
    // Roots of one key may follow each other.
    if (issuers.every(({ validToDate }) => validToDate.getTime() <= now))
      throw wrong("is signed by a root that expired");
  }
}

/**
 * Checks what an authority answered, as Istio's does: the leaf, what is between, and last the roots, each element one or more
 * certificates in PEM.
 * @throws WeftError `FailedPrecondition` that says what is wrong with it.
 */
export function checkIssued(answer: readonly string[], { identity, key, now }: Expectation): WorkloadCertificate {
  const before = certificatesIn(...answer.slice(0, -1));
  // Several roots may be elements of their own.
  const chain = before.filter((each) => !isOf(each, each));
  const roots = [...before.filter((each) => isOf(each, each)), ...certificatesIn(...answer.slice(-1))];
  const [leaf] = chain;
  if (leaf === undefined) throw wrong("is none: the answer holds no certificate beside its roots");
  if (roots.length === 0) throw wrong("has no root");
  if (!leaf.checkPrivateKey(key)) throw wrong("is for another key");
  if (leaf.subjectAltName !== `URI:${identity}`)
    throw wrong(`is for ${leaf.subjectAltName ?? "nobody"}, not for URI:${identity} alone`);
  if (leaf.ca) throw wrong("is one of an authority");
  checkChain(chain, roots, now);
  return {
    key: key.export({ type: "pkcs8", format: "pem" }),
    chain: chain.map(String).join(""),
    roots: roots.map(String),
    serialNumber: leaf.serialNumber.toLowerCase(),
    notBefore: leaf.validFromDate.getTime(),
    notAfter: leaf.validToDate.getTime(),
  };
}

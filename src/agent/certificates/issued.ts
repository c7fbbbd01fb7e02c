import type { KeyObject, X509Certificate } from "node:crypto";
import { WeftError } from "#base/errors.ts";
import { readCertificates } from "#identity/authority.ts";
import { isValidAt, pathToRoot, rootId } from "#identity/path.ts";

/** A workload's certificate with its key, as its proxy gets it. Nothing of it is ever on disk. */
export interface WorkloadCertificate {
  /** The private key: PKCS #8 in PEM. */
  readonly key: string;
  /** The leaf and what stands between it and the root, in PEM. */
  readonly chain: string;
  /** The authorities that peers are checked by, in PEM, as they came with the certificate. */
  readonly roots: readonly string[];
  /** Names that of them which the certificate leads to (`rootId`). */
  readonly issuer: string;
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

function isRoot(certificate: X509Certificate): boolean {
  return certificate.checkIssued(certificate);
}

function wrong(why: string): WeftError {
  return new WeftError("FailedPrecondition", `the certificate that was issued ${why}`);
}

/**
 * Checks what an authority answered, as Istio's does: the leaf, what is between, and last the roots, each element one or more
 * certificates in PEM.
 * @throws WeftError `FailedPrecondition` or `InvalidArgument` that says what is wrong with it.
 */
export function checkIssued(answer: readonly string[], { identity, key, now }: Expectation): WorkloadCertificate {
  const given = answer.map((text, at) => readCertificates(text, `element ${at + 1} of the answer`));
  const [leaf, ...others] = given.slice(0, -1).flat();
  // Several roots may be elements of their own.
  const roots = [...others.filter(isRoot), ...(given.at(-1) ?? [])];
  if (leaf === undefined) throw wrong("is none: the answer holds no certificate beside its roots");
  if (roots.length === 0) throw wrong("has no root");
  if (!leaf.checkPrivateKey(key)) throw wrong("is for another key");
  if (leaf.subjectAltName !== `URI:${identity}`)
    throw wrong(`is for ${leaf.subjectAltName ?? "nobody"}, not for URI:${identity} alone`);
  if (leaf.ca) throw wrong("is one of an authority");
  if (!isValidAt(leaf, now)) throw wrong(`is valid from ${leaf.validFrom} to ${leaf.validTo} only`);
  const path = pathToRoot(
    leaf,
    others.filter((each) => !isRoot(each)),
    roots,
    now,
  );
  const root = path?.at(-1);
  if (!path || !root) throw wrong("has no valid chain that leads to one of the roots that came with it");
  return {
    key: key.export({ type: "pkcs8", format: "pem" }),
    chain: path.slice(0, -1).map(String).join(""),
    roots: roots.map(String),
    issuer: rootId(root),
    serialNumber: leaf.serialNumber.toLowerCase(),
    notBefore: leaf.validFromDate.getTime(),
    notAfter: leaf.validToDate.getTime(),
  };
}

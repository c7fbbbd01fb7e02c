import { createPrivateKey, generateKeyPairSync, type KeyObject, X509Certificate } from "node:crypto";
import { WeftError } from "#base/errors.ts";
import { backdateMs, type Issuer, readIssuer, rootCertificate } from "./certificate.ts";
import { isValidAt, pathToRoot } from "./path.ts";
import { pemBlocks } from "./pem.ts";
import type { AuthorityKey } from "./settings.ts";
import { checkRevocations } from "./revocation.ts";
import { keyProblem } from "./signature.ts";
import type { KeyPair } from "./signing-request.ts";

/** An authority as PEM texts, under the names that Istio's Secrets have for them. */
export interface AuthorityFiles {
  /** `ca-cert.pem`: the certificate that signs. */
  readonly certificate: string;
  /** `ca-key.pem`: its key. */
  readonly key: string;
  /** `cert-chain.pem`: certificates between it and the root, itself and the root included or not. */
  readonly chain: string;
  /** `root-cert.pem`: all roots that are trusted. */
  readonly roots: string;
  /** `ca-crl.pem`: lists of revoked certificates, one at least of each authority above a leaf; empty where nothing is revoked. */
  readonly revoked: string;
}

/** An authority that can sign. */
export interface Authority {
  readonly issuer: Issuer;
  /** What stands under a certificate that it signs, as PEM, up to the root and without it: empty where the root itself signs. */
  readonly intermediates: readonly string[];
  /** The certificates from what signs to its root, both included; one where the root itself signs. */
  readonly path: readonly X509Certificate[];
  /** All roots that are trusted. */
  readonly roots: readonly X509Certificate[];
  /** The lists of revoked certificates, in PEM; empty where nothing is revoked. */
  readonly revoked: string;
  /** When the first of the certificates above a leaf ends, in milliseconds since the epoch: no leaf is valid longer. */
  readonly expires: number;
}

/**
 * The certificates of a PEM text.
 * @param what names the text in the error.
 * @throws WeftError `InvalidArgument`.
 */
export function readCertificates(text: string, what: string): readonly X509Certificate[] {
  return pemBlocks(text).map(({ label, bytes }, index) => {
    try {
      if (label === "CERTIFICATE") return new X509Certificate(bytes);
    } catch (error) {
      throw new WeftError("InvalidArgument", `certificate ${index + 1} of ${what} cannot be read`, error);
    }
    throw new WeftError("InvalidArgument", `block ${index + 1} of ${what} is no certificate but ${label}`);
  });
}

function readKey(text: string): KeyObject {
  let key: KeyObject;
  try {
    key = createPrivateKey(text);
  } catch {
    // Not what OpenSSL says of it: that may hold bytes of the key.
    throw new WeftError("InvalidArgument", "ca-key.pem is no private key in PEM, or is encrypted");
  }
  const problem = keyProblem(key);
  if (problem !== undefined) throw new WeftError("InvalidArgument", `the key of ca-key.pem ${problem}`);
  return key;
}

/** What is wrong with the certificate that is to sign. */
function signerProblem(certificate: X509Certificate, key: KeyObject, now: number): string | undefined {
  if (!certificate.ca) return "is no certificate of an authority (basic constraints CA:TRUE)";
  if (!certificate.checkPrivateKey(key)) return "does not belong to the key of ca-key.pem";
  if (isValidAt(certificate, now)) return undefined;
  return `is valid from ${certificate.validFrom} to ${certificate.validTo} only`;
}

/**
 * Reads an authority and checks that what it signs leads to a root that is trusted.
 * @param now milliseconds since the epoch.
 * @throws WeftError `InvalidArgument` with the name of the file in the Secret and what is wrong, without the key.
 */
export function readAuthority(files: AuthorityFiles, now: number): Authority {
  const [certificate, ...others] = readCertificates(files.certificate, "ca-cert.pem");
  if (!certificate) throw new WeftError("InvalidArgument", "ca-cert.pem has no certificate");
  const key = readKey(files.key);
  const problem = signerProblem(certificate, key, now);
  if (problem !== undefined) throw new WeftError("InvalidArgument", `ca-cert.pem ${problem}`);
  const roots = readCertificates(files.roots, "root-cert.pem");
  if (roots.length === 0) throw new WeftError("InvalidArgument", "root-cert.pem has no certificate");
  const between = [...others, ...readCertificates(files.chain, "cert-chain.pem")];
  const candidates = between.filter((each) => !each.raw.equals(certificate.raw));
  const path = pathToRoot(certificate, candidates, roots, now);
  if (!path) {
    const what = "no valid chain leads from ca-cert.pem by cert-chain.pem to a certificate of root-cert.pem";
    throw new WeftError("InvalidArgument", what);
  }
  checkRevocations(files.revoked, path, now);
  return {
    issuer: readIssuer(certificate.raw, key),
    intermediates: path.slice(0, -1).map((each) => each.toString()),
    path,
    roots,
    revoked: files.revoked,
    expires: Math.min(...path.map(({ validToDate }) => validToDate.getTime())),
  };
}

function makeKeys(type: AuthorityKey): KeyPair {
  const [family, size = ""] = type.split("-");
  if (family === "RSA") return generateKeyPairSync("rsa", { modulusLength: Number(size) });
  return generateKeyPairSync("ec", { namedCurve: type });
}

/** Years that a root made here is valid, as in Istio. */
const rootYears = 10;
const yearMs = 365 * 86_400_000;

/**
 * Makes a self-signed authority.
 * @param organization the trust domain.
 * @param now milliseconds since the epoch.
 */
export function makeAuthority(type: AuthorityKey, organization: string, now: number): AuthorityFiles {
  const keys = makeKeys(type);
  const validity = { from: now - backdateMs, until: now + rootYears * yearMs };
  const certificate = rootCertificate({ ...keys, organization, validity });
  const key = keys.privateKey.export({ type: "pkcs8", format: "pem" });
  return { certificate, key, chain: "", roots: certificate, revoked: "" };
}

import type { X509Certificate } from "node:crypto";
import { AsnConvert } from "@peculiar/asn1-schema";
import { CertificateList } from "@peculiar/asn1-x509";
import { WeftError } from "#base/errors.ts";
import { pemBlocks } from "./pem.ts";
import { isSignedBy } from "./signature.ts";

const file = "ca-crl.pem";

function readLists(text: string): readonly CertificateList[] {
  const blocks = pemBlocks(text);
  if (blocks.length === 0) throw new WeftError("InvalidArgument", `${file} has no list of revoked certificates in PEM`);
  return blocks.map(({ label, bytes }, index) => {
    if (label !== "X509 CRL") {
      throw new WeftError(
        "InvalidArgument",
        `block ${index + 1} of ${file} is no list of revoked certificates but ${label}`,
      );
    }
    try {
      return AsnConvert.parse(bytes, CertificateList);
    } catch (error) {
      throw new WeftError("InvalidArgument", `list ${index + 1} of ${file} cannot be read`, error);
    }
  });
}

function isListOf({ tbsCertListRaw: bytes, signatureAlgorithm, signature }: CertificateList, issuer: X509Certificate) {
  return bytes !== undefined && isSignedBy({ bytes, algorithm: signatureAlgorithm, signature }, issuer.publicKey);
}

function serialOf(serial: string): string {
  return BigInt(`0x${serial}`).toString(16);
}

/** Lists of revoked certificates that were checked (`checkRevocations`). */
export class Revocations {
  readonly #text: string;
  /** Serial numbers by the issuer's fingerprint. */
  readonly #serials = new Map<string, ReadonlySet<string>>();

  /** @param text empty where nothing is revoked. */
  constructor(text: string) {
    this.#text = text.trim();
  }

  /** Whether a certificate stands in a list of its issuer. */
  has({ serialNumber }: X509Certificate, issuer: X509Certificate): boolean {
    return this.#text !== "" && this.#of(issuer).has(serialOf(serialNumber));
  }

  #of(issuer: X509Certificate): ReadonlySet<string> {
    const known = this.#serials.get(issuer.fingerprint256);
    if (known) return known;
    const entries = readLists(this.#text)
      .filter((list) => isListOf(list, issuer))
      .flatMap(({ tbsCertList: { revokedCertificates = [] } }) => revokedCertificates);
    const serials = new Set(
      entries.map(({ userCertificate }) => serialOf(Buffer.from(userCertificate).toString("hex"))),
    );
    this.#serials.set(issuer.fingerprint256, serials);
    return serials;
  }
}

/**
 * Checks lists of revoked certificates (RFC 5280, section 5). Envoy refuses every certificate of which one authority above has no list
 * that is good now, so each must have one, as Istio asks for too.
 * @param text `ca-crl.pem`; empty where nothing is revoked.
 * @param path from what signs to its root, both included.
 * @param now milliseconds since the epoch.
 * @throws WeftError `InvalidArgument`.
 */
export function checkRevocations(text: string, path: readonly X509Certificate[], now: number): void {
  if (text.trim() === "") return;
  const lists = readLists(text);
  for (const issuer of path) {
    const own = lists.filter((list) => isListOf(list, issuer));
    const subject = issuer.subject.replaceAll("\n", ", ");
    const why = "without one proxies refuse all that it stands above";
    if (own.length === 0) throw new WeftError("InvalidArgument", `${file} has no list of ${subject}: ${why}`);
    const good = own.some(({ tbsCertList: { nextUpdate } }) => !nextUpdate || nextUpdate.getTime().getTime() > now);
    if (!good) throw new WeftError("InvalidArgument", `the list of ${subject} in ${file} is over: ${why}`);
  }
}

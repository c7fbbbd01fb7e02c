import type { X509Certificate } from "node:crypto";

/** Certificates of one path at most, as many as OpenSSL would follow without asking why. */
const longest = 10;

/** Whether a certificate is valid at a time, in milliseconds since the epoch. */
export function isValidAt({ validFromDate, validToDate }: X509Certificate, now: number): boolean {
  return validFromDate.getTime() <= now && now <= validToDate.getTime();
}

/** By which a root is named where its certificate is too long: the first 32 hexadecimal digits of its SHA-256. */
export function rootId({ fingerprint256 }: X509Certificate): string {
  return fingerprint256.replaceAll(":", "").slice(0, 32).toLowerCase();
}

/** Whether one certificate signed another, by name and by signature. */
function signedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return issuer.ca && certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}

function same(one: X509Certificate, other: X509Certificate): boolean {
  return one.raw.equals(other.raw);
}

/**
 * The path from a certificate to a root, both included; a root alone is its own.
 * @param others certificates that may stand between, in any order.
 * @returns undefined where there is none of certificates that are all valid at the time.
 */
export function pathToRoot(
  certificate: X509Certificate,
  others: readonly X509Certificate[],
  roots: readonly X509Certificate[],
  now: number,
): readonly X509Certificate[] | undefined {
  if (!isValidAt(certificate, now)) return undefined;
  if (roots.some((root) => same(root, certificate))) return [certificate];
  if (others.length > longest) return undefined;
  const root = roots.find((each) => isValidAt(each, now) && signedBy(certificate, each));
  if (root) return [certificate, root];
  for (const issuer of others.filter((each) => signedBy(certificate, each))) {
    const rest = pathToRoot(
      issuer,
      others.filter((each) => each !== issuer),
      roots,
      now,
    );
    if (rest) return [certificate, ...rest];
  }
  return undefined;
}

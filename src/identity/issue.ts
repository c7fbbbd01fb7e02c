import { WeftError } from "#base/errors.ts";
import type { Authority } from "./authority.ts";
import { backdateMs, leafCertificate } from "./certificate.ts";
import { readSigningRequest } from "./signing-request.ts";

/** A certificate that is asked for. */
export interface IssueRequest {
  /** PKCS #10 in PEM, of which only the key is taken. */
  readonly csr: string;
  /** What the certificate is to say: SPIFFE ids, DNS names, addresses. */
  readonly names: readonly string[];
  /** Milliseconds that it is to be valid. */
  readonly ttlMs: number;
  /** Milliseconds since the epoch. */
  readonly now: number;
}

/** A certificate that was made. */
export interface Issued {
  /** PEM: the certificate, then what leads to the root, which is not there itself. */
  readonly chain: readonly string[];
  /** When it ends, in milliseconds since the epoch: earlier than asked for where the authority itself ends earlier. */
  readonly expires: number;
}

/**
 * Makes a certificate.
 * @throws WeftError `InvalidArgument` for a request that is refused, `FailedPrecondition` when the authority has ended.
 */
export function issue({ csr, names, ttlMs, now }: IssueRequest, authority: Authority): Issued {
  if (authority.expires <= now) {
    throw new WeftError("FailedPrecondition", "the certificate of the mesh's authority has ended; replace it");
  }
  const publicKey = readSigningRequest(csr);
  const expires = Math.min(now + ttlMs, authority.expires);
  const validity = { from: now - backdateMs, until: expires };
  const certificate = leafCertificate({ publicKey, names, validity }, authority.issuer);
  return { chain: [certificate, ...authority.intermediates], expires };
}

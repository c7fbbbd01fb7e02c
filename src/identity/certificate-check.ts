import type { X509Certificate } from "node:crypto";
import type { Clock } from "#base/clock.ts";
import { WeftError } from "#base/errors.ts";
import type { Authority } from "./authority.ts";
import { isValidAt, pathToRoot } from "./path.ts";
import { Revocations } from "./revocation.ts";

/** What certificates are checked by: another object when it changes. */
export type Trust = Pick<Authority, "roots" | "path" | "revoked">;

/** Certificates of what a peer showed beside its own, at most. */
const mostShown = 5;

/** What a peer showed between its certificate and a root. */
function shownWith(certificate: X509Certificate): readonly X509Certificate[] {
  const shown: X509Certificate[] = [];
  for (let each = certificate.issuerCertificate; each && shown.length < mostShown; each = each.issuerCertificate) {
    if (shown.at(-1)?.raw.equals(each.raw)) break;
    shown.push(each);
  }
  return shown;
}

/**
 * Checks certificates at each use, by the time and the authority of then: a connection that was made while a certificate was
 * good may last much longer.
 */
export class CertificateCheck {
  readonly #trust: () => Trust | undefined;
  readonly #clock: Clock;
  /** What was found last of a certificate. */
  readonly #found = new WeakMap<X509Certificate, { readonly trust: Trust; readonly problem: string }>();
  readonly #revocations = new WeakMap<Trust, Revocations>();

  constructor(trust: () => Trust | undefined, clock: Clock) {
    this.#trust = trust;
    this.#clock = clock;
  }

  /** @throws WeftError `Unauthenticated` for a certificate that has ended, does not lead to a root of now, or is revoked. */
  check(certificate: X509Certificate): void {
    const trust = this.#trust();
    const problem = trust ? this.#problemOf(certificate, trust) : "there is no authority to check it by";
    if (problem !== "") throw new WeftError("Unauthenticated", `the certificate is not taken: ${problem}`);
  }

  #problemOf(certificate: X509Certificate, trust: Trust): string {
    const now = this.#clock.now();
    if (!isValidAt(certificate, now)) return "it has ended, or has not begun";
    const known = this.#found.get(certificate);
    if (known?.trust === trust) return known.problem;
    const path = pathToRoot(certificate, [...trust.path, ...shownWith(certificate)], trust.roots, now);
    const revoked = path?.slice(1).some((issuer, at) => {
      const below = path[at];
      return below !== undefined && this.#revocationsOf(trust).has(below, issuer);
    });
    const problem = path ? (revoked ? "it is revoked" : "") : "it leads to no root that is trusted";
    this.#found.set(certificate, { trust, problem });
    return problem;
  }

  #revocationsOf(trust: Trust): Revocations {
    const known = this.#revocations.get(trust) ?? new Revocations(trust.revoked);
    this.#revocations.set(trust, known);
    return known;
  }
}

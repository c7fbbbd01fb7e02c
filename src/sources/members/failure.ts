import { codeOf, messageOf } from "#base/errors.ts";
import { isTooLarge } from "#kube/connection.ts";

/** Why a cluster's API cannot be followed. */
export interface Failure {
  /** One word in upper camel case. */
  readonly reason: "CredentialsRefused" | "NotAllowed" | "CertificateRefused" | "Busy" | "Unreachable";
  /** For people: what happened, and what to do about it. */
  readonly message: string;
}

/** Codes of Node and OpenSSL for a server's certificate that is not taken. */
const certificateCodes =
  /^(?:CERT_|ERR_TLS_|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT|UNABLE_TO_GET_ISSUER_CERT|UNABLE_TO_VERIFY_LEAF)/;

function isCertificateFault(error: unknown): boolean {
  for (let cause = error; cause instanceof Error; cause = cause.cause) {
    const { code } = cause as { readonly code?: unknown };
    if (typeof code === "string" && certificateCodes.test(code)) return true;
  }
  return false;
}

/** What a failed request says about a cluster. */
export function failureOf(error: unknown): Failure {
  const why = messageOf(error);
  if (isCertificateFault(error)) {
    const fix = "check certificate-authority-data, server and tls-server-name of the kubeconfig";
    return {
      reason: "CertificateRefused",
      message: `the certificate of its API is not the one to be expected: ${why}; ${fix}`,
    };
  }
  const code = codeOf(error);
  if (code === "Unauthenticated") {
    const message = `its API does not take the credentials, which may have ended: ${why}; put new ones into the kubeconfig`;
    return { reason: "CredentialsRefused", message };
  }
  if (code === "PermissionDenied") {
    const message = `the credentials allow too little: ${why}; grant it, as weft cluster add does`;
    return { reason: "NotAllowed", message };
  }
  if (isTooLarge(error)) return { reason: "Unreachable", message: `its API answers with too much: ${why}` };
  if (code === "ResourceExhausted") return { reason: "Busy", message: `its API is too busy: ${why}` };
  return { reason: "Unreachable", message: `its API does not answer: ${why}` };
}

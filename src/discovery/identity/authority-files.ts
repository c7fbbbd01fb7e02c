import type { Secret } from "#api/kubernetes/secret.ts";
import type { AuthorityFiles } from "#identity/authority.ts";

/** Istio's name of the lists of revoked certificates. */
const revokedKey = "ca-crl.pem";

/** The authority of a Secret, under Istio's names or cert-manager's, which Istio takes too. What is not there is empty. */
export function filesOf({ data = {} }: Pick<Secret, "data">): AuthorityFiles {
  const at = (key: string): string => Buffer.from(data[key] ?? "", "base64").toString("latin1");
  const revoked = at(revokedKey);
  if ("tls.crt" in data) {
    return { certificate: at("tls.crt"), key: at("tls.key"), chain: "", roots: at("ca.crt"), revoked };
  }
  const [certificate, roots] = [at("ca-cert.pem"), at("root-cert.pem")];
  return { certificate, key: at("ca-key.pem"), chain: at("cert-chain.pem"), roots: roots || certificate, revoked };
}

function base64(text: string): string {
  return Buffer.from(text).toString("base64");
}

/** What a Secret holds of an authority, under Istio's names. */
export function secretData({ certificate, key, chain, roots, revoked }: AuthorityFiles): Record<string, string> {
  return {
    "ca-cert.pem": base64(certificate),
    "ca-key.pem": base64(key),
    "root-cert.pem": base64(roots),
    "cert-chain.pem": base64(chain),
    ...(revoked !== "" && { [revokedKey]: base64(revoked) }),
  };
}

/**
 * A Secret's data with another authority, under the names that it has; what else it holds stays. So do its own lists of revoked
 * certificates, to which somebody may have added: of several of one issuer the newest counts.
 */
export function withAuthority({ data = {} }: Pick<Secret, "data">, files: AuthorityFiles): Record<string, string> {
  const kept = filesOf({ data }).revoked;
  const revoked = files.revoked.includes(kept) ? files.revoked : kept + files.revoked;
  const lists = revoked === "" ? {} : { [revokedKey]: base64(revoked) };
  if (!("tls.crt" in data)) return { ...data, ...secretData(files), ...lists };
  const { certificate, key, chain, roots } = files;
  return { ...data, ...lists, "tls.crt": base64(certificate + chain), "tls.key": base64(key), "ca.crt": base64(roots) };
}

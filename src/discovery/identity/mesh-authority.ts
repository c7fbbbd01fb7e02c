import type { X509Certificate } from "node:crypto";
import type { MeshAuthority } from "#api/weft/mesh.ts";
import { timestamp } from "#base/timestamp.ts";
import { readCertificates } from "#identity/authority.ts";
import { rootId } from "#identity/path.ts";
import { filesOf } from "./authority-files.ts";
import type { AuthorityStanding } from "./authority-secret.ts";

type CertificateMember = MeshAuthority["certificates"][number];

function member(use: CertificateMember["use"], certificate: X509Certificate): CertificateMember {
  const { subject, validToDate } = certificate;
  const notAfter = timestamp(validToDate.getTime());
  return { use, subject: subject.replaceAll("\n", ", "), root: rootId(certificate), notAfter };
}

/** The certificates above a leaf, as far as they can be read. */
function signing({ secret }: AuthorityStanding): readonly X509Certificate[] {
  try {
    return secret ? readCertificates(filesOf(secret).certificate, "ca-cert.pem").slice(0, 1) : [];
  } catch {
    return [];
  }
}

/** How the authority stands, as the mesh's status tells of it. */
export function meshAuthority(standing: AuthorityStanding): MeshAuthority {
  const { secret, authority, problem, current } = standing;
  const { namespace = "", name = "" } = secret?.metadata ?? {};
  const signs = current ? signing(standing) : [];
  return {
    secret: secret ? `${namespace}/${name}` : "",
    certificates: [
      ...signs.map((each) => member("signs", each)),
      ...(authority?.roots ?? []).map((each) => member("trusted", each)),
    ],
    ...(problem !== "" && { problem }),
  };
}

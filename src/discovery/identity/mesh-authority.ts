import type { X509Certificate } from "node:crypto";
import type { MeshAuthority } from "#api/weft/mesh.ts";
import { timestamp } from "#base/timestamp.ts";
import { rootId } from "#identity/path.ts";
import type { AuthorityStanding } from "./authority-secret.ts";

type CertificateMember = MeshAuthority["certificates"][number];

function member(use: CertificateMember["use"], certificate: X509Certificate): CertificateMember {
  const { subject, validToDate } = certificate;
  const notAfter = timestamp(validToDate.getTime());
  return { use, subject: subject.replaceAll("\n", ", "), root: rootId(certificate), notAfter };
}

/** How the authority stands, as the mesh's status tells of it: what signs is what goes on, also where the Secret is another. */
export function meshAuthority({ secret, authority, problem }: AuthorityStanding): MeshAuthority {
  const { namespace = "", name = "" } = secret?.metadata ?? {};
  const { path = [], roots = [] } = authority ?? {};
  return {
    secret: secret ? `${namespace}/${name}` : "",
    certificates: [
      ...path.slice(0, 1).map((each) => member("signs", each)),
      ...path.slice(1, -1).map((each) => member("between", each)),
      ...roots.map((each) => member("trusted", each)),
    ],
    ...(problem !== "" && { problem }),
  };
}

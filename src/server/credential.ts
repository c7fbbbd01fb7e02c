import { join } from "node:path";
import { Authority } from "#apiserver/pki/authority.ts";
import { Revocations } from "#apiserver/pki/revocations.ts";
import type { Clock } from "#base/clock.ts";
import type { KubeContext } from "#kube/kubeconfig.ts";

/** Whose credential is made, and for what. */
export interface Credential {
  /** The server's folder of keys. */
  readonly stateDir: string;
  /** Where the API is, `https://...` or `unix://...`. */
  readonly server: string;
  readonly user: string;
  readonly group: readonly string[];
  /** How long the certificate is good. */
  readonly days: number;
  /** What commands mean where none is given. */
  readonly namespace: string;
}

const dayMs = 24 * 3600_000;

/**
 * A kubeconfig's context for a user of an API (`mesh`, or a cluster's name), with a new certificate of the API's authority,
 * which is made where there is none.
 * @throws WeftError as `Authority.open`.
 */
export async function credentialContext(endpoint: string, wanted: Credential, clock: Clock): Promise<KubeContext> {
  const { stateDir, server, user, group, days, namespace } = wanted;
  const authority = Authority.open(join(stateDir, endpoint), endpoint, clock);
  // One of the second in which others of the user were revoked would be taken for one of these.
  const wait = Revocations.open(join(stateDir, endpoint)).free(user) - clock.now();
  if (wait > 0) await clock.sleep(wait);
  const { certificate, key } = authority.issueClient({ name: user, groups: group }, days * dayMs);
  const name = `weft-${endpoint}`;
  const address = { url: server, ca: authority.certificate, certificate, key };
  // A Unix socket has no name; the certificate has this one.
  const serverName = server.startsWith("unix:") ? { serverName: "localhost" } : {};
  return { name, cluster: name, user, namespace, server: { ...address, ...serverName } };
}

import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { membersConfigMap } from "#api/member-api.ts";
import { codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";

/** How API servers of members reach the mesh's API. */
export interface MembersAddress {
  /** What the mesh's API shows itself by, in PEM. */
  readonly authority: string;
  /** Addresses of IP, or one name; none where the server listens on all addresses and was not told by which it is reached. */
  readonly hosts: readonly string[];
  readonly port: number;
}

/** Writes into the mesh's API how members reach it. */
export async function publishMembersAddress(client: Client, { authority, hosts, port }: MembersAddress): Promise<void> {
  const maps = client.of<ConfigMap>(configMap);
  const data = { "ca.crt": authority, port: String(port), host: hosts.length === 0 ? null : hosts.join(" ") };
  try {
    await maps.patch(membersConfigMap, { kind: "merge", body: { data } });
  } catch (error) {
    if (codeOf(error) !== "NotFound") throw error;
    const { host, ...rest } = data;
    await maps.create({ metadata: membersConfigMap, data: { ...rest, ...(host !== null && { host }) } });
  }
}

/** How members reach the mesh's API; undefined where it serves none. */
export async function readMembersAddress(client: Client): Promise<MembersAddress | undefined> {
  const { data = {} } = (await client.of<ConfigMap>(configMap).find(membersConfigMap)) ?? {};
  const { "ca.crt": authority, port: text, host = "" } = data;
  const port = Number(text);
  if (authority === undefined || !Number.isInteger(port) || port < 1) return undefined;
  return { authority, port, hosts: host.split(" ").filter(Boolean) };
}

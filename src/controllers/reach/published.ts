import { type ConfigMap, configMap } from "#api/kubernetes/config-map.ts";
import { memberNamespace } from "#api/member-api.ts";
import type { StringMap } from "#api/meta.ts";
import { revisionLabel } from "#api/weft/revisions.ts";
import { codeOf } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { gone } from "../clusters/published.ts";

/** How Pods and API servers of members reach one revision of the mesh's control plane. */
export interface ControlPlaneAddress {
  readonly revision: string;
  /** Addresses of IP, or one name; none where it is not known by what it is reached. */
  readonly hosts: readonly string[];
  /** The port of xDS and certificates. */
  readonly xds: number;
  /** The port of the admission webhooks; absent where none are served. */
  readonly webhooks?: number;
}

/** The label of the ConfigMaps of the mesh's own API in which control planes say how they are reached. */
const addressLabel = "mesh.weft.dev/control-plane-address";

function placeOf(revision: string): { readonly namespace: string; readonly name: string } {
  return { namespace: memberNamespace, name: `weft-control-plane-${revision}` };
}

/**
 * Writes into the mesh's API how members reach a revision of the control plane.
 * @param installed further labels, by which it is known where the revision is installed.
 */
export async function publishControlPlane(
  client: Client,
  { revision, hosts, xds, webhooks }: ControlPlaneAddress,
  installed: StringMap = {},
): Promise<void> {
  const maps = client.of<ConfigMap>(configMap);
  const metadata = {
    ...placeOf(revision),
    labels: { [addressLabel]: "true", [revisionLabel]: revision, ...installed },
  };
  const written = { revision, hosts: hosts.join(" "), xds: String(xds) };
  try {
    const data = { ...written, webhooks: webhooks === undefined ? null : String(webhooks) };
    await maps.patch(placeOf(revision), { kind: "merge", body: { metadata: { labels: metadata.labels }, data } });
  } catch (error) {
    if (codeOf(error) !== "NotFound") throw error;
    await maps.create({
      metadata,
      data: { ...written, ...(webhooks !== undefined && { webhooks: String(webhooks) }) },
    });
  }
}

/** Removes what a revision said there of how it is reached. */
export async function removePublished(client: Client, revision: string): Promise<void> {
  await gone(client.of(configMap).delete(placeOf(revision)));
}

function portOf(text: string | undefined): number | undefined {
  const port = Number(text);
  return Number.isInteger(port) && port > 0 && port <= 65_535 ? port : undefined;
}

function addressIn({ data = {} }: ConfigMap): ControlPlaneAddress | undefined {
  const { revision, hosts = "" } = data;
  const [xds, webhooks] = [portOf(data["xds"]), portOf(data["webhooks"])];
  if (revision === undefined || revision === "" || xds === undefined) return undefined;
  return { revision, hosts: hosts.split(" ").filter(Boolean), xds, ...(webhooks !== undefined && { webhooks }) };
}

/** How members reach the revisions of the mesh's control plane, by what these have said. */
export async function readControlPlanes(client: Client): Promise<readonly ControlPlaneAddress[]> {
  const selection = { namespace: memberNamespace, labelSelector: `${addressLabel}=true` };
  const { items } = await client.of<ConfigMap>(configMap).list(selection);
  return items.flatMap((each) => addressIn(each) ?? []);
}

import { node as nodeKind, type Node } from "#api/kubernetes/node.ts";
import { type Service, service as serviceKind } from "#api/kubernetes/service.ts";
import { revisionLabel } from "#api/weft/revisions.ts";
import { WeftError } from "#base/errors.ts";
import type { Client } from "#kube/client.ts";
import { type InstallObject, ownObject } from "./object.ts";
import { type InstallMembers, type MembersPlaces, installNames, installPorts, nameOfRevision } from "./options.ts";

/** Nodes that are told as addresses: enough that one may be away. */
const mostNodes = 5;

/** Ports of the Services, which the Pods have too. */
const ports = {
  api: [{ name: "https-members", port: installPorts.members }],
  discovery: [
    { name: "https-dns", port: installPorts.xds },
    { name: "https-webhook", port: installPorts.webhooks },
  ],
} as const;

function nameOf(revision: string): string {
  return nameOfRevision(installNames.membersDiscovery, revision);
}

/** The Service by which API servers of members reach the mesh's API. */
export function membersApi({ type }: InstallMembers): InstallObject {
  const spec = { type, selector: { app: installNames.server }, ports: ports.api.map(open) };
  return ownObject("v1", "Service", installNames.membersApi, { spec });
}

/** The Service by which members reach a revision of the control plane of proxies. */
export function membersDiscovery({ type }: InstallMembers, revision: string): InstallObject {
  const selector = { app: installNames.discovery, [revisionLabel]: revision };
  const spec = { type, selector, ports: ports.discovery.map(open) };
  return ownObject("v1", "Service", nameOf(revision), { spec });
}

function open({ name, port }: { readonly name: string; readonly port: number }): object {
  return { name, port, targetPort: port, protocol: "TCP" };
}

/** The addresses that a load balancer has given a Service; none as long as it has not. */
export function balanced({ status }: Pick<Service, "status">): readonly string[] {
  return (status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }) => ip ?? hostname ?? []);
}

/** Addresses by which nodes are reached from elsewhere: those of outside where there are some. */
function nodeAddresses(nodes: readonly Node[]): readonly string[] {
  for (const type of ["ExternalIP", "InternalIP"]) {
    const found = nodes.flatMap(({ status }) => status?.addresses?.find((each) => each.type === type)?.address ?? []);
    if (found.length > 0) return found.slice(0, mostNodes);
  }
  return [];
}

/** Where a port of a Service is reached from outside of the cluster. */
function portOf({ metadata, spec }: Service, name: string, { type }: InstallMembers): number {
  const found = spec.ports?.find((each) => each.name === name);
  const port = type === "NodePort" ? found?.nodePort : found?.port;
  if (port !== undefined) return port;
  throw new WeftError(
    "Unavailable",
    `Service ${metadata.name} has no port of nodes for ${name}: run the command again`,
  );
}

/**
 * Where members reach what is installed, once its Services are there and have their addresses.
 * @param revision of the control plane of proxies.
 * @throws WeftError `FailedPrecondition` where the cluster has no address for that.
 */
export async function placesOf(client: Client, members: InstallMembers, revision: string): Promise<MembersPlaces> {
  const services = client.of<Service>(serviceKind);
  const { namespace } = installNames;
  const [api, discovery] = await Promise.all([
    services.get({ namespace, name: installNames.membersApi }),
    // Not there once the revision has been removed, which then needs no place.
    services.find({ namespace, name: nameOf(revision) }),
  ]);
  const hostsOf = async (service: Service): Promise<readonly string[]> => {
    if (members.hosts.length > 0) return members.hosts;
    if (members.type === "LoadBalancer") return balanced(service);
    return nodeAddresses((await client.of<Node>(nodeKind).list()).items);
  };
  const [hosts, discoveryHosts] = await Promise.all([hostsOf(api), discovery ? hostsOf(discovery) : []]);
  if (hosts.length === 0) {
    const fix = "say by --members-host how other clusters reach this one";
    throw new WeftError("FailedPrecondition", `no node of the cluster tells an address: ${fix}`);
  }
  const places = placesAt(hosts);
  return {
    api: { hosts, port: portOf(api, "https-members", members) },
    discovery: discovery
      ? {
          hosts: discoveryHosts,
          xds: portOf(discovery, "https-dns", members),
          webhooks: portOf(discovery, "https-webhook", members),
        }
      : places.discovery,
  };
}

/** Where they do by hosts that lead to the ports of the Services, whatever the cluster knows of them. */
export function placesAt(hosts: readonly string[]): MembersPlaces {
  return {
    api: { hosts, port: installPorts.members },
    discovery: { hosts, xds: installPorts.xds, webhooks: installPorts.webhooks },
  };
}

import { isIPv4 } from "node:net";
import { ownValue } from "#api/record.ts";
import type { Endpoint } from "#model/endpoint.ts";
import type { NetworkGateway, NetworkGateways } from "#model/networks.ts";
import { placedLabels } from "#model/endpoint.ts";
import type { EndpointGroup, Origin } from "./locality.ts";

/** Whether an endpoint is one for callers of a place, wherever it is reached. */
export function isFor({ cluster, node }: Endpoint, origin: Origin): boolean {
  // Endpoints that users wrote belong to no cluster, and so to each.
  if (origin.cluster !== undefined && cluster !== "" && cluster !== origin.cluster) return false;
  return origin.node === undefined || node === origin.node;
}

/** What decides how callers reach endpoints of other networks. */
export interface Crossing {
  readonly origin: Origin;
  readonly gateways: NetworkGateways;
  /** Which endpoints speak mutual TLS of the mesh. */
  readonly speaks: (endpoint: Endpoint) => boolean;
}

/** The gateways by which an endpoint of another network is called: of its own cluster where there are any, else all. */
function gatewaysTo({ network, cluster }: Endpoint, { of }: NetworkGateways): readonly NetworkGateway[] {
  const all = ownValue(of, network) ?? [];
  const near = all.filter((gateway) => gateway.cluster === cluster);
  return near.length > 0 ? near : all;
}

/** A gateway in the place of endpoints. */
function gatewayEndpoint(
  { network, cluster, address, port }: NetworkGateway,
  weight: number,
  { locality }: EndpointGroup,
) {
  const nowhere = { region: "", zone: "", subzone: "" };
  return {
    ...locality,
    address,
    port,
    labels: placedLabels({}, { ...nowhere, cluster, network, node: "" }),
    cluster,
    network,
    weight,
    healthy: true,
    namespace: "",
    workload: "",
    serviceAccount: "",
    mutualTls: true,
    node: "",
    hostname: "",
  } satisfies Endpoint;
}

/** Endpoints that are called at their own addresses, and shares of those behind gateways. */
function split({ endpoints }: EndpointGroup, { origin, gateways, speaks }: Crossing) {
  const direct: Endpoint[] = [];
  const shares = new Map<NetworkGateway, number>();
  for (const endpoint of endpoints) {
    const weight = endpoint.weight * gateways.scale;
    const known = endpoint.network === origin.network || endpoint.network === "" ? [] : gatewaysTo(endpoint, gateways);
    const entries = known.filter(({ address }) => isIPv4(address));
    if (known.length === 0) direct.push({ ...endpoint, weight });
    else if (origin.identified && speaks(endpoint)) {
      for (const entry of entries) shares.set(entry, (shares.get(entry) ?? 0) + Math.floor(weight / entries.length));
    }
  }
  return { direct, shares };
}

/**
 * Endpoints as a caller reaches them, as Istio has it: one of another network stands behind that network's gateways, which take its
 * share; while none is known, it is called at its own address. Gateways pass on mutual TLS of the mesh and nothing else, so
 * that an endpoint which does not speak it cannot be called, nor can any by a caller without a certificate.
 * @returns the groups, and which of their endpoints are gateways.
 */
export function acrossNetworks(
  groups: readonly EndpointGroup[],
  crossing: Crossing,
): { readonly groups: readonly EndpointGroup[]; readonly entries: ReadonlySet<Endpoint> } {
  const entries = new Set<Endpoint>();
  if (Object.keys(crossing.gateways.of).length === 0) return { groups, entries };
  const crossed = groups.map((group) => {
    const { direct, shares } = split(group, crossing);
    const inPlace = [...shares]
      .toSorted(([a], [b]) => (a.address < b.address ? -1 : Number(a.address > b.address)) || a.port - b.port)
      .map(([gateway, weight]) => gatewayEndpoint(gateway, weight, group));
    for (const entry of inPlace) entries.add(entry);
    const endpoints = [...direct, ...inPlace];
    return { ...group, endpoints, weight: endpoints.reduce((sum, { weight }) => sum + weight, 0) };
  });
  return { groups: crossed.filter(({ endpoints }) => endpoints.length > 0), entries };
}

import type { Destination } from "#api/istio/common.ts";
import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { VirtualServiceSpec } from "#api/istio/virtual-service.ts";
import type { RuleQueries } from "../destinationrules.ts";
import type { GatewayQueries } from "../gateways.ts";
import { hostMatches, isWildcard } from "#api/istio/hosts.ts";
import { resolveHost } from "../hosts.ts";
import type { Config } from "../rows.ts";
import type { ServiceQueries } from "../services.ts";
import { meshGateway, resolveGateway, type VirtualServiceQueries } from "../virtualservices.ts";
import { listed, type Problem } from "./finding.ts";

/** What is asked to judge a VirtualService. */
export interface RoutingContext {
  readonly services: ServiceQueries;
  readonly rules: RuleQueries;
  readonly gateways: GatewayQueries;
  readonly virtualServices: VirtualServiceQueries;
}

/** A destination, and its field. */
export interface PlacedDestination {
  readonly field: string;
  readonly destination: Destination;
}

type Route = NonNullable<VirtualServiceSpec["http"]>[number];

function mirrorsOf({ mirror, mirrors = [] }: Route, at: string): readonly PlacedDestination[] {
  return [
    ...(mirror ? [{ field: `${at}.mirror`, destination: mirror }] : []),
    ...mirrors.map((each, index) => ({ field: `${at}.mirrors[${index}].destination`, destination: each.destination })),
  ];
}

interface Routed {
  readonly route?: readonly { readonly destination: Destination }[];
}

function routed({ route = [] }: Routed, at: string): readonly PlacedDestination[] {
  return route.map(({ destination }, index) => ({ field: `${at}.route[${index}].destination`, destination }));
}

/** Every destination of a VirtualService, with its place. */
export function destinationsOf({ http = [], tls = [], tcp = [] }: VirtualServiceSpec): readonly PlacedDestination[] {
  return [
    ...http.flatMap((each, index) => [
      ...routed(each, `spec.http[${index}]`),
      ...mirrorsOf(each, `spec.http[${index}]`),
    ]),
    ...tls.flatMap((each, index) => routed(each, `spec.tls[${index}]`)),
    ...tcp.flatMap((each, index) => routed(each, `spec.tcp[${index}]`)),
  ];
}

function subsetProblem(viewer: string, key: string, placed: PlacedDestination, context: RoutingContext): Problem[] {
  const { subset = "", host } = placed.destination;
  if (subset === "") return [];
  const known = context.rules.subsets({ viewer, service: key });
  if (known.includes(subset)) return [];
  const message = `No DestinationRule that applies to ${host} has a subset ${subset} (known: ${listed(known)}); requests to it fail with 503.`;
  return [{ code: "UnknownSubset", severity: "error", field: `${placed.field}.subset`, message }];
}

function portProblem(key: string, placed: PlacedDestination, { services }: RoutingContext): Problem[] {
  const { host, port } = placed.destination;
  const known = services.service.get(key)?.ports.map((each) => each.number) ?? [];
  const number = port?.number ?? 0;
  if (number === 0 || known.includes(number)) return [];
  const message = `${host} has no port ${number} (known: ${listed(known.map(String))}); requests to it fail with 503.`;
  return [{ code: "UnknownPort", severity: "error", field: `${placed.field}.port.number`, message }];
}

/** An ExternalName Service leads somewhere only where what it stands for is a service itself. */
function aliasProblem(
  viewer: string,
  alias: string,
  placed: PlacedDestination,
  { services }: RoutingContext,
): readonly Problem[] {
  const host = services.aliasOf.get(alias);
  if (host !== undefined && services.keyForHost.get({ viewer, host }) !== undefined) return [];
  const message =
    host === undefined
      ? `The ExternalName Service ${alias} leads back to itself; requests to it fail with 503.`
      : `${alias} stands for ${host}, and no service or ServiceEntry of that host is visible in namespace ${viewer}; requests to it fail with 503. Write a ServiceEntry for ${host}.`;
  return [{ code: "UnknownHost", severity: "error", field: `${placed.field}.host`, message }];
}

function destinationProblems(
  namespace: string,
  placed: PlacedDestination,
  context: RoutingContext,
): readonly Problem[] {
  const { host } = placed.destination;
  const { services } = context;
  const full = resolveHost(host, namespace);
  const key = services.keyForHost.get({ viewer: namespace, host: full });
  if (key !== undefined && services.service.get(key)?.resolution === "ALIAS") {
    return aliasProblem(namespace, full, placed, context);
  }
  if (key !== undefined)
    return [...subsetProblem(namespace, key, placed, context), ...portProblem(key, placed, context)];
  const message = `No service or ServiceEntry ${full} is visible in namespace ${namespace}; requests to it fail with 503.`;
  return [{ code: "UnknownHost", severity: "error", field: `${placed.field}.host`, message }];
}

function gatewayProblems(row: Config<VirtualServiceSpec>, { gateways }: RoutingContext): readonly Problem[] {
  return (row.spec.gateways ?? []).flatMap((written, index) => {
    const name = resolveGateway(written, row.namespace);
    if (name === meshGateway || gateways.gateway.get(name)) return [];
    const message = `There is no Gateway ${name}; the VirtualService has no effect there.`;
    return [{ code: "UnknownGateway", severity: "error", field: `spec.gateways[${index}]`, message } as const];
  });
}

/** Hosts for which another VirtualService wins in the sidecars of the namespace. */
function conflicts(row: Config<VirtualServiceSpec>, { virtualServices }: RoutingContext): readonly Problem[] {
  const own = `${row.namespace}/${row.name}`;
  const gateways = virtualServices.exposure.get(own)?.gateways ?? [];
  if (!gateways.includes(meshGateway)) return [];
  const client = { namespace: row.namespace, sidecar: "" };
  return (row.spec.hosts ?? []).flatMap((written, index) => {
    const host = resolveHost(written, row.namespace);
    const [first] = virtualServices.meshHosts.get(client).find((each) => each.host === host)?.virtualServices ?? [];
    if (first === undefined || first === own) return [];
    const message = `VirtualService ${first} is for the host ${host} too and goes first: sidecars follow one of them only. Merge them.`;
    return [{ code: "ConflictingHosts", severity: "warning", field: `spec.hosts[${index}]`, message } as const];
  });
}

/** Hosts that a Gateway's servers take of VirtualServices of a namespace: `shop/*.example.com` is for one alone. */
function openHosts({ namespace, spec }: Config<GatewaySpec>, viewer: string): readonly string[] {
  const hosts = (spec.servers ?? []).flatMap((server) => server.hosts);
  return hosts.flatMap((written) => {
    const [of = "*", host = written] = written.includes("/") ? written.split("/") : [];
    return of === "*" || of === viewer || (of === "." && namespace === viewer) ? [host] : [];
  });
}

function isOpenTo(open: readonly string[], host: string): boolean {
  return open.some((each) => hostMatches(each, host) || (isWildcard(host) && hostMatches(host, each)));
}

/** Hosts that no server of the gateways lets in, and gateways that let none of the hosts in while others do. */
function unboundHosts(row: Config<VirtualServiceSpec>, { gateways }: RoutingContext): readonly Problem[] {
  const hosts = (row.spec.hosts ?? []).map((host) => resolveHost(host, row.namespace));
  const names = (row.spec.gateways ?? []).map((each) => resolveGateway(each, row.namespace));
  const found = names.map((name) => gateways.gateway.get(name));
  const taken = found.map((gateway) => gateway && openHosts(gateway, row.namespace));
  const open = taken.flatMap((each) => each ?? []);
  if (found.every((gateway) => gateway === undefined)) return [];
  const inMesh = names.includes(meshGateway);
  const code = { code: "HostNotInGateway", severity: "warning" } as const;
  const closed = hosts.flatMap((host, index) => {
    if (inMesh || isOpenTo(open, host)) return [];
    const message = `No server of the gateways takes the host ${host} (they take ${listed(open)}).`;
    return [{ ...code, field: `spec.hosts[${index}]`, message }];
  });
  if (closed.length === hosts.length) return closed;
  const useless = taken.flatMap((each, index) => {
    if (!each || hosts.some((host) => isOpenTo(each, host))) return [];
    const message = `No server of Gateway ${names[index] ?? ""} takes any of the hosts (it takes ${listed(each)}).`;
    return [{ ...code, field: `spec.gateways[${index}]`, message }];
  });
  return [...closed, ...useless];
}

/** What a VirtualService refers to in vain. */
export function virtualServiceProblems(row: Config<VirtualServiceSpec>, context: RoutingContext): readonly Problem[] {
  return [
    ...destinationsOf(row.spec).flatMap((placed) => destinationProblems(row.namespace, placed, context)),
    ...gatewayProblems(row, context),
    ...unboundHosts(row, context),
    ...conflicts(row, context),
  ];
}

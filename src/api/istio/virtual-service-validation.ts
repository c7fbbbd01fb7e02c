import { duplicate, FieldPath, forbidden, invalid, required } from "../field.ts";
import { validateDestinations } from "./destination-validation.ts";
import { isClaim } from "./headers-validation.ts";
import { hostMatches, hostsOverlap } from "./hosts.ts";
import { validateHttpRoute } from "./http-route-validation.ts";
import {
  type Errors,
  isAddress,
  subnetProblem,
  validateExportTo,
  validateGatewayNames,
  validatePort,
  validateTags,
  wildcardDomainProblem,
} from "./names.ts";
import type {
  L4MatchAttributes,
  TCPRoute,
  TLSMatchAttributes,
  TLSRoute,
  VirtualService,
  VirtualServiceSpec,
} from "./virtual-service.ts";

/** The gateway that stands for all sidecars. */
const meshGateway = "mesh";

/** The names that gateways between networks give services in TLS handshakes: `outbound_.80_._.reviews.shop.mesh`. */
const generatedName = /^outbound_[^_]*\d[^_]*_[^_]*_[^_]*[A-Za-z]/;

/** Whether the rules are for gateways only. */
function forGatewaysOnly({ gateways = [] }: VirtualServiceSpec): boolean {
  return gateways.length > 0 && !gateways.includes(meshGateway);
}

function hostProblem(host: string, generated: boolean): string | undefined {
  if (generated && host.startsWith("outbound_")) {
    return generatedName.test(host) ? undefined : "must be like outbound_.PORT_._.HOSTNAME";
  }
  return wildcardDomainProblem(host);
}

function* validateHosts(spec: VirtualServiceSpec, path: FieldPath): Errors {
  const hosts = spec.hosts ?? [];
  const gatewaysOnly = forGatewaysOnly(spec);
  const generated =
    gatewaysOnly && (spec.tls ?? []).some(({ match }) => match.some(({ sniHosts }) => sniHosts.length > 0));
  let valid = true;
  for (const [index, host] of hosts.entries()) {
    const problem = hostProblem(host, generated);
    if (problem !== undefined && !isAddress(host)) {
      yield invalid(path.item(index), host, problem);
      valid = false;
    } else if (host === "*" && !gatewaysOnly) {
      yield invalid(path.item(index), host, "must not be every host where the rules are for sidecars");
      valid = false;
    }
  }
  if (!valid) return;
  for (const [index, host] of hosts.entries()) {
    if (hosts.slice(0, index).some((before) => hostsOverlap(before, host))) yield duplicate(path.item(index), host);
  }
}

/** Checks what a VirtualService without hosts, to which others delegate, must not have. */
function* validateDelegate(spec: VirtualServiceSpec, path: FieldPath): Errors {
  for (const name of ["gateways", "tls", "tcp"] as const) {
    if (spec[name]?.length) yield forbidden(path.field(name), "must be absent where there are no hosts");
  }
}

function* validateClaims(spec: VirtualServiceSpec, path: FieldPath): Errors {
  if (forGatewaysOnly(spec)) return;
  for (const [rule, { match = [] }] of (spec.http ?? []).entries()) {
    for (const [index, one] of match.entries()) {
      const at = path.field("http").item(rule).field("match").item(index);
      for (const name of ["headers", "withoutHeaders"] as const) {
        for (const header of Object.keys(one[name] ?? {}).filter(isClaim)) {
          yield forbidden(at.field(name).key(header), "claims can be matched by gateways only");
        }
      }
    }
  }
}

function* validateConnectionMatch(match: L4MatchAttributes | TLSMatchAttributes, path: FieldPath): Errors {
  for (const [index, subnet] of (match.destinationSubnets ?? []).entries()) {
    const problem = subnetProblem(subnet);
    if (problem !== undefined) yield invalid(path.field("destinationSubnets").item(index), subnet, problem);
  }
  if (match.port) yield* validatePort(match.port, path.field("port"));
  yield* validateTags(match.sourceLabels, path.field("sourceLabels"));
  yield* validateGatewayNames(match.gateways, path.field("gateways"));
}

function* validateServerNames(match: TLSMatchAttributes, spec: VirtualServiceSpec, path: FieldPath): Errors {
  if (match.sniHosts.length === 0) yield required(path, "at least one host");
  for (const [index, host] of match.sniHosts.entries()) {
    const problem = hostProblem(host, forGatewaysOnly(spec));
    if (problem !== undefined) {
      if (!isAddress(host)) yield invalid(path.item(index), host, problem);
    } else if (!(spec.hosts ?? []).some((pattern) => hostMatches(pattern, host))) {
      yield invalid(path.item(index), host, "must be among the hosts of the VirtualService");
    }
  }
}

function* validateTlsRoute({ match, route = [] }: TLSRoute, spec: VirtualServiceSpec, path: FieldPath): Errors {
  if (match.length === 0) yield required(path.field("match"), "at least one match");
  for (const [index, one] of match.entries()) {
    const at = path.field("match").item(index);
    yield* validateServerNames(one, spec, at.field("sniHosts"));
    yield* validateConnectionMatch(one, at);
  }
  if (route.length === 0) yield required(path.field("route"), "at least one destination");
  yield* validateDestinations(route, path.field("route"));
}

function* validateTcpRoute({ match = [], route = [] }: TCPRoute, path: FieldPath): Errors {
  for (const [index, one] of match.entries()) yield* validateConnectionMatch(one, path.field("match").item(index));
  if (route.length === 0) yield required(path.field("route"), "at least one destination");
  yield* validateDestinations(route, path.field("route"));
}

/** Checks a VirtualService as Istio's webhook does. */
export function* validateVirtualService({ metadata, spec }: VirtualService): Errors {
  const path = FieldPath.root.field("spec");
  const { hosts = [], http = [], tls = [], tcp = [] } = spec;
  if (hosts.length === 0) yield* validateDelegate(spec, path);
  yield* validateGatewayNames(spec.gateways, path.field("gateways"));
  yield* validateClaims(spec, path);
  yield* validateHosts(spec, path.field("hosts"));
  if (http.length + tls.length + tcp.length === 0) yield required(path, "http, tls or tcp");
  for (const [index, route] of http.entries()) {
    yield* validateHttpRoute(route, hosts.length === 0, path.field("http").item(index));
  }
  for (const [index, route] of tls.entries()) yield* validateTlsRoute(route, spec, path.field("tls").item(index));
  for (const [index, route] of tcp.entries()) yield* validateTcpRoute(route, path.field("tcp").item(index));
  yield* validateExportTo(spec.exportTo, metadata.namespace, path.field("exportTo"));
}

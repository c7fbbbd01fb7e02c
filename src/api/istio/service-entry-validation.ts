import { duplicate, FieldPath, forbidden, invalid, required } from "../field.ts";
import { ownValue } from "../record.ts";
import { isWildcard } from "./hosts.ts";
import {
  domainProblem,
  type Errors,
  isAddress,
  subnetProblem,
  validateExportTo,
  validatePort,
  validatePortName,
  validateProtocol,
  validateSelector,
  wildcardDomainProblem,
} from "./names.ts";
import { protocolOf } from "./protocol.ts";
import type { ServiceEntry, ServiceEntrySpec } from "./service-entry.ts";
import { validateWorkload } from "./workload-validation.ts";

/** The label by which a service is handled by a waypoint proxy. */
const waypointLabel = "istio.io/use-waypoint";

function* validateHosts(hosts: readonly string[], path: FieldPath): Errors {
  for (const [index, host] of hosts.entries()) {
    const problem = host === "*" ? "must not be every host" : wildcardDomainProblem(host);
    if (problem !== undefined) yield invalid(path.item(index), host, problem);
  }
}

function* validatePorts({ ports = [] }: ServiceEntrySpec, path: FieldPath): Errors {
  const names = new Set<string>();
  const numbers = new Set<number>();
  for (const [index, { name, number, protocol, targetPort }] of ports.entries()) {
    const at = path.item(index);
    if (names.has(name)) yield duplicate(at.field("name"), name);
    if (numbers.has(number)) yield duplicate(at.field("number"), number);
    names.add(name);
    numbers.add(number);
    yield* validatePortName(name, at.field("name"));
    yield* validateProtocol(protocol, at.field("protocol"));
    yield* validatePort(number, at.field("number"));
    if (targetPort) yield* validatePort(targetPort, at.field("targetPort"));
  }
}

function* validateAddresses(spec: ServiceEntrySpec, path: FieldPath): Errors {
  const { addresses = [], resolution = "NONE" } = spec;
  for (const [index, address] of addresses.entries()) {
    const problem = subnetProblem(address);
    if (problem !== undefined) yield invalid(path.item(index), address, problem);
    else if (address.includes("/") && resolution !== "NONE" && resolution !== "STATIC") {
      yield invalid(path.item(index), address, `must be an IP address, not a network, for resolution ${resolution}`);
    }
  }
}

function* validateDns(spec: ServiceEntrySpec, ports: ReadonlySet<string>, path: FieldPath): Errors {
  const { hosts, endpoints = [], resolution } = spec;
  if (endpoints.length === 0) {
    for (const [index, host] of hosts.entries()) {
      if (domainProblem(host) === undefined) continue;
      const detail = `must be a full DNS name where there are no endpoints, for resolution ${resolution}`;
      yield invalid(path.field("hosts").item(index), host, detail);
    }
  }
  if (resolution === "DNS_ROUND_ROBIN" && endpoints.length > 1) {
    yield invalid(
      path.field("endpoints"),
      endpoints.length,
      "there must be at most one for resolution DNS_ROUND_ROBIN",
    );
  }
  for (const [index, endpoint] of endpoints.entries()) {
    const at = path.field("endpoints").item(index);
    const { address = "" } = endpoint;
    if (!isAddress(address) && domainProblem(address) !== undefined) {
      yield invalid(at.field("address"), address, "must be an IP address or a full DNS name");
    } else yield* validateWorkload(endpoint, at, { ports });
  }
}

function* validateDynamic({ metadata, spec }: ServiceEntry, path: FieldPath): Errors {
  const { hosts, ports = [], location } = spec;
  for (const [index, host] of hosts.entries()) {
    if (!isWildcard(host)) {
      yield invalid(path.field("hosts").item(index), host, "must begin with a wildcard for resolution DYNAMIC_DNS");
    }
  }
  for (const name of ["addresses", "endpoints"] as const) {
    if (spec[name]?.length) yield forbidden(path.field(name), "must be absent for resolution DYNAMIC_DNS");
  }
  for (const [index, { protocol = "" }] of ports.entries()) {
    if (!/^(?:http|tls|grpc|http2)$/i.test(protocol)) {
      const at = path.field("ports").item(index).field("protocol");
      yield invalid(at, protocol, "must be HTTP, HTTP2, GRPC or TLS for resolution DYNAMIC_DNS");
    }
  }
  const waypoint = ownValue(metadata.labels, waypointLabel) ?? "";
  if (location === "MESH_INTERNAL" && waypoint !== "" && waypoint.toLowerCase() !== "none") {
    yield invalid(path.field("location"), location, "must be MESH_EXTERNAL for resolution DYNAMIC_DNS with a waypoint");
  }
}

function* validateResolution(entry: ServiceEntry, path: FieldPath): Errors {
  const { resolution = "NONE", endpoints = [], ports = [] } = entry.spec;
  const names = new Set(ports.map(({ name }) => name));
  switch (resolution) {
    case "NONE":
      if (endpoints.length > 0) yield forbidden(path.field("endpoints"), "must be absent for resolution NONE");
      return;
    case "STATIC":
      for (const [index, endpoint] of endpoints.entries()) {
        const at = path.field("endpoints").item(index);
        yield* validateWorkload(endpoint, at, { ports: names, addressOnly: true });
      }
      return;
    case "DNS":
    case "DNS_ROUND_ROBIN":
      yield* validateDns(entry.spec, names, path);
      return;
    case "DYNAMIC_DNS":
      yield* validateDynamic(entry, path);
  }
}

/** Checks a ServiceEntry as Istio's webhook does. */
export function* validateServiceEntry(entry: ServiceEntry): Errors {
  const path = FieldPath.root.field("spec");
  const { metadata, spec } = entry;
  const { hosts, ports = [], resolution = "NONE" } = spec;
  yield* validateSelector(spec.workloadSelector?.labels, path.field("workloadSelector", "labels"));
  if (spec.workloadSelector !== undefined && spec.endpoints !== undefined) {
    yield forbidden(path.field("endpoints"), "only one of workloadSelector, endpoints may be set");
  }
  if (hosts.length === 0) yield required(path.field("hosts"), "at least one host");
  yield* validateHosts(hosts, path.field("hosts"));
  yield* validateAddresses(spec, path.field("addresses"));
  yield* validatePorts(spec, path.field("ports"));
  yield* validateResolution(entry, path);
  // Only HTTP and TLS tell which of several hosts a connection is for; without resolution nobody needs to know.
  const silent = ports.findIndex(({ protocol }) => {
    const known = protocolOf(protocol ?? "");
    return !known?.http && !known?.tls;
  });
  if (resolution !== "NONE" && hosts.length > 1 && silent >= 0) {
    const at = path.field("ports").item(silent).field("protocol");
    yield invalid(at, ports[silent]?.protocol ?? "", "must be HTTP or TLS where there are several hosts");
  }
  yield* validateExportTo(spec.exportTo, metadata.namespace, path.field("exportTo"), { nobody: true });
}

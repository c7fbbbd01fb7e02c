import { isIP } from "node:net";
import type { FieldError } from "../kind.ts";
import { duplicate, FieldPath, forbidden, invalid, required } from "../field.ts";
import { keyProblem, validateLabels, validateNamed } from "../metadata.ts";
import { validatePortRef } from "./probe-validation.ts";
import type { Service, ServicePort, ServiceSpec } from "./service.ts";

/** What a Service without an address has in its place. */
const headless = "None";

/** Whether the Service is reached from outside the cluster. */
function isOutside({ type, externalIPs = [] }: ServiceSpec): boolean {
  return type === "NodePort" || type === "LoadBalancer" || externalIPs.length > 0;
}

function* validateDuplicates(ports: readonly ServicePort[], path: FieldPath): Generator<FieldError> {
  const seen = { name: new Set<string>(), port: new Set<string>(), nodePort: new Set<string>() };
  for (const [index, { name, port, nodePort, protocol }] of ports.entries()) {
    const at = path.item(index);
    if (name) {
      if (seen.name.has(name)) yield duplicate(at.field("name"), name);
      seen.name.add(name);
    }
    const place = `${port}/${protocol}`;
    if (seen.port.has(place)) yield duplicate(at, { port, protocol });
    seen.port.add(place);
    if (!nodePort) continue;
    const node = `${nodePort}/${protocol}`;
    if (seen.nodePort.has(node)) yield duplicate(at.field("nodePort"), nodePort);
    seen.nodePort.add(node);
  }
}

function* validatePorts({ ports = [], type, clusterIP }: ServiceSpec, path: FieldPath): Generator<FieldError> {
  if (ports.length === 0 && clusterIP !== headless && type !== "ExternalName") yield required(path);
  for (const [index, { name, targetPort, appProtocol, nodePort }] of ports.entries()) {
    const at = path.item(index);
    if (name) yield* validateNamed("label", name, at.field("name"));
    else if (ports.length > 1) yield required(at.field("name"));
    if (targetPort !== undefined) yield* validatePortRef(targetPort, at.field("targetPort"));
    const problem = appProtocol === undefined ? undefined : keyProblem(appProtocol);
    if (problem !== undefined) yield invalid(at.field("appProtocol"), appProtocol, problem);
    if (nodePort && (type === "ClusterIP" || type === "ExternalName")) {
      yield forbidden(at.field("nodePort"), `may not be used when \`type\` is '${type}'`);
    }
  }
  yield* validateDuplicates(ports, path);
}

function* validateAddresses(spec: ServiceSpec, path: FieldPath): Generator<FieldError> {
  const { type, clusterIP = "", clusterIPs = [] } = spec;
  if (type === "ExternalName") {
    if (clusterIP !== "" || clusterIPs.length > 0) {
      yield forbidden(path.field("clusterIPs"), "may not be set when `type` is 'ExternalName'");
    }
    return;
  }
  if (clusterIP === headless && type !== "ClusterIP") {
    yield invalid(path.field("clusterIPs").item(0), headless, `may not be set to 'None' for ${type} services`);
  }
  if (clusterIPs.length > 0 && clusterIPs[0] !== clusterIP) {
    yield invalid(path.field("clusterIP"), clusterIP, "must be the first of clusterIPs");
  }
  for (const [index, address] of clusterIPs.entries()) {
    if (address !== headless && address !== "" && isIP(address) === 0) {
      yield invalid(path.field("clusterIPs").item(index), address, "must be an IP address or None");
    }
  }
  if (clusterIP !== headless && clusterIP !== "" && isIP(clusterIP) === 0) {
    yield invalid(path.field("clusterIP"), clusterIP, "must be an IP address, None or empty");
  }
  for (const [index, address] of (spec.externalIPs ?? []).entries()) {
    if (isIP(address) === 0) yield invalid(path.field("externalIPs").item(index), address, "must be an IP address");
  }
}

function* validateTypeFields(spec: ServiceSpec, path: FieldPath): Generator<FieldError> {
  const { type, externalName = "" } = spec;
  if (type === "ExternalName") {
    if (externalName === "") yield required(path.field("externalName"));
    else yield* validateNamed("subdomain", externalName.replace(/\.$/, ""), path.field("externalName"));
  }
  for (const name of ["allocateLoadBalancerNodePorts", "loadBalancerClass"] as const) {
    if (spec[name] !== undefined && type !== "LoadBalancer") {
      yield forbidden(path.field(name), "may only be used when `type` is 'LoadBalancer'");
    }
  }
  if (spec.externalTrafficPolicy !== undefined && !isOutside(spec)) {
    const detail = "may only be set for externally-accessible services";
    yield invalid(path.field("externalTrafficPolicy"), spec.externalTrafficPolicy, detail);
  }
  if (spec.sessionAffinity === "None" && spec.sessionAffinityConfig !== undefined) {
    yield forbidden(path.field("sessionAffinityConfig"), "must not be set when session affinity is None");
  }
}

/** Checks a Service as Kubernetes does. */
export function* validateService({ spec }: Service): Generator<FieldError> {
  const path = FieldPath.root.field("spec");
  yield* validatePorts(spec, path.field("ports"));
  yield* validateAddresses(spec, path);
  yield* validateTypeFields(spec, path);
  yield* validateLabels(spec.selector, path.field("selector"));
}

/** Checks a change of a Service: an address once given stays, as long as the Service has one. */
export function* validateServiceUpdate({ spec }: Service, { spec: before }: Service): Generator<FieldError> {
  if (spec.type === "ExternalName" || before.type === "ExternalName") return;
  if (before.clusterIP && spec.clusterIP !== before.clusterIP) {
    const at = FieldPath.root.field("spec", "clusterIPs").item(0);
    yield invalid(at, spec.clusterIP ?? "", "may not change once set");
  }
}

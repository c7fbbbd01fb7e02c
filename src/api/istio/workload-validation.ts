import { FieldPath, forbidden, invalid, notSupported, required } from "../field.ts";
import { validateProbeHeader } from "./headers-validation.ts";
import {
  domainProblem,
  type Errors,
  isAddress,
  unixPrefix,
  unixProblem,
  validatePort,
  validatePortName,
  validateTags,
} from "./names.ts";
import type { WorkloadEntry, WorkloadEntrySpec } from "./workload-entry.ts";
import type { WorkloadGroup, WorkloadGroupSpec } from "./workload-group.ts";

/** What an endpoint may be, as the ServiceEntry that holds it says. */
export interface EndpointOptions {
  /** Names of the service's ports, where they are known. */
  readonly ports?: ReadonlySet<string>;
  /** The address must be an IP address or a Unix socket. */
  readonly addressOnly?: boolean;
}

/** Checks the address of a workload, and what a Unix socket as address excludes. */
function* validateAddress(spec: WorkloadEntrySpec, path: FieldPath, options: EndpointOptions): Errors {
  const { address = "", ports = {} } = spec;
  const at = path.field("address");
  if (address.startsWith(unixPrefix)) {
    const problem = unixProblem(address.slice(unixPrefix.length));
    if (problem !== undefined) yield invalid(at, address, problem);
    if (Object.keys(ports).length > 0) yield forbidden(path.field("ports"), "a Unix socket has no ports");
    if (options.ports !== undefined && options.ports.size !== 1) {
      yield invalid(at, address, "a service with Unix sockets must have one port");
    }
  } else if (address !== "" && !isAddress(address)) {
    if (options.addressOnly) yield invalid(at, address, "must be an IP address or a Unix socket");
    else if (domainProblem(address) !== undefined)
      yield invalid(at, address, "must be an IP address or a full DNS name");
  }
}

/** Checks one workload, as WorkloadEntry or endpoint of a ServiceEntry. */
export function* validateWorkload(spec: WorkloadEntrySpec, path: FieldPath, options: EndpointOptions = {}): Errors {
  if (!spec.address && !spec.network) yield required(path.field("address"), "address or network");
  yield* validateAddress(spec, path, options);
  for (const [name, number] of Object.entries(spec.ports ?? {})) {
    const at = path.field("ports").key(name);
    if (options.ports !== undefined && !options.ports.has(name)) yield invalid(at, name, "is no port of the service");
    yield* validatePortName(name, at);
    yield* validatePort(number, at);
  }
  yield* validateTags(spec.labels, path.field("labels"));
}

/** Checks a WorkloadEntry as Istio's webhook does. */
export function validateWorkloadEntry({ spec }: WorkloadEntry): Errors {
  return validateWorkload(spec, FieldPath.root.field("spec"));
}

function* validateProbe(probe: NonNullable<WorkloadGroupSpec["probe"]>, path: FieldPath): Errors {
  const { httpGet, tcpSocket, exec, grpc } = probe;
  if (httpGet === undefined && tcpSocket === undefined && exec === undefined && grpc === undefined) {
    yield required(path, "httpGet, tcpSocket, exec or grpc");
  }
  if (httpGet !== undefined) {
    const at = path.field("httpGet");
    yield* validatePort(httpGet.port, at.field("port"));
    if (httpGet.scheme && httpGet.scheme !== "HTTP" && httpGet.scheme !== "HTTPS") {
      yield notSupported(at.field("scheme"), httpGet.scheme, ["HTTP", "HTTPS"]);
    }
    for (const [index, { name }] of (httpGet.httpHeaders ?? []).entries()) {
      yield* validateProbeHeader(name, at.field("httpHeaders").item(index).field("name"));
    }
  }
  if (tcpSocket !== undefined) yield* validatePort(tcpSocket.port, path.field("tcpSocket", "port"));
  if (exec?.command.length === 0) yield required(path.field("exec", "command"));
  if (grpc?.port !== undefined) yield* validatePort(grpc.port, path.field("grpc", "port"));
}

/** Checks a WorkloadGroup as Istio's webhook does. The template may lack what each workload brings itself. */
export function* validateWorkloadGroup({ spec }: WorkloadGroup): Errors {
  const path = FieldPath.root.field("spec");
  yield* validateTags(spec.metadata?.labels, path.field("metadata", "labels"));
  const at = path.field("template");
  yield* validateAddress(spec.template, at, {});
  for (const [name, number] of Object.entries(spec.template.ports ?? {})) {
    yield* validatePortName(name, at.field("ports").key(name));
    yield* validatePort(number, at.field("ports").key(name));
  }
  if (spec.probe !== undefined) yield* validateProbe(spec.probe, path.field("probe"));
}

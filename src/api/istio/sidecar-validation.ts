import { duplicate, FieldPath, forbidden, invalid, required } from "../field.ts";
import type { ServerTLSSettings, SidecarPort } from "./common.ts";
import { validateConnectionPool } from "./connection-pool-validation.ts";
import { validateDestination } from "./destination-validation.ts";
import { listedHostProblem } from "./gateway-validation.ts";
import {
  domainProblem,
  type Errors,
  isAddress,
  isDnsLabel,
  unixPrefix,
  unixProblem,
  validatePort,
  validatePortName,
  validateProtocol,
  validateSelector,
} from "./names.ts";
import { protocolOf } from "./protocol.ts";
import { validateServerTls } from "./server-tls-validation.ts";
import type { IstioEgressListener, IstioIngressListener, OutboundTrafficPolicy, Sidecar } from "./sidecar.ts";

/** Addresses of an application, before `:PORT`. */
const endpointHosts = new Set(["", "127.0.0.1", "0.0.0.0", "[::1]", "[::]"]);

function* validateSidecarPort(port: SidecarPort, path: FieldPath): Errors {
  if (port.targetPort) yield forbidden(path.field("targetPort"), "has no meaning in a Sidecar");
  if (port.name) yield* validatePortName(port.name, path.field("name"));
  yield* validateProtocol(port.protocol, path.field("protocol"));
}

function* validateBind(bind: string, path: FieldPath): Errors {
  if (bind !== "" && !isAddress(bind)) yield invalid(path, bind, "must be an IP address");
}

function* validateUnix(address: string, path: FieldPath): Errors {
  const problem = unixProblem(address.slice(unixPrefix.length));
  if (problem !== undefined) yield invalid(path, address, problem);
}

function* validateEndpoint(endpoint: string, path: FieldPath): Errors {
  if (endpoint.startsWith(unixPrefix)) {
    yield* validateUnix(endpoint, path);
    return;
  }
  const colon = endpoint.lastIndexOf(":");
  const port = Number(endpoint.slice(colon + 1));
  const numeric = /^\d+$/.test(endpoint.slice(colon + 1)) && port >= 1 && port <= 65_535;
  if (colon < 0 || !numeric || !endpointHosts.has(endpoint.slice(0, colon))) {
    yield invalid(path, endpoint, "must be 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT, [::]:PORT or unix:// and a path");
  }
}

/** Fields of TLS settings that a sidecar's ports do not have. */
const gatewayOnly = [
  "subjectAltNames",
  "httpsRedirect",
  "credentialName",
  "credentialNames",
  "tlsCertificates",
] as const;

function* validateIngressTls(tls: ServerTLSSettings, protocol: string | undefined, path: FieldPath): Errors {
  for (const name of gatewayOnly) {
    const value = tls[name];
    const set = typeof value === "boolean" ? value : (value?.length ?? 0) > 0;
    if (set) yield forbidden(path.field(name), "is for Gateways only");
  }
  if (tls.mode === "ISTIO_MUTUAL" || tls.mode === "AUTO_PASSTHROUGH") {
    yield forbidden(path.field("mode"), `${tls.mode} is for Gateways only`);
  }
  if (!protocolOf(protocol ?? "")?.tls) yield forbidden(path, "the port's protocol must be HTTPS or TLS");
  yield* validateServerTls(tls, path);
}

function* validateIngress(listener: IstioIngressListener, path: FieldPath): Errors {
  const { port, bind = "", defaultEndpoint = "", tls, connectionPool } = listener;
  yield* validateSidecarPort(port, path.field("port"));
  yield* validatePort(port.number ?? 0, path.field("port", "number"));
  yield* validateBind(bind, path.field("bind"));
  if (defaultEndpoint !== "") yield* validateEndpoint(defaultEndpoint, path.field("defaultEndpoint"));
  if (tls !== undefined) yield* validateIngressTls(tls, port.protocol, path.field("tls"));
  yield* validateConnectionPool(connectionPool, path.field("connectionPool"));
}

function* validateEgressHost(text: string, path: FieldPath): Errors {
  const slash = text.indexOf("/");
  const namespace = text.slice(0, Math.max(0, slash)).replace(/^~/, "");
  const host = text.slice(slash + 1);
  if (slash < 1 || host === "") {
    yield invalid(path, text, "must be namespace/name");
    return;
  }
  if (namespace !== "" && namespace !== "*" && namespace !== "." && !isDnsLabel(namespace)) {
    yield invalid(path, text, "the part before '/' must be a namespace, '.', '*' or '~'");
  }
  const problem = listedHostProblem(host);
  if (problem !== undefined) yield invalid(path, text, problem);
}

function* validateEgressPort({ port, bind = "", captureMode }: IstioEgressListener, path: FieldPath): Errors {
  if (port === undefined) return;
  yield* validateSidecarPort(port, path.field("port"));
  if (port.number) {
    yield* validatePort(port.number, path.field("port", "number"));
    yield* validateBind(bind, path.field("bind"));
  } else if (bind.startsWith(unixPrefix)) {
    yield* validateUnix(bind, path.field("bind"));
    if (captureMode === "IPTABLES") yield forbidden(path.field("captureMode"), "a Unix socket cannot be captured");
  } else yield invalid(path.field("bind"), bind, "must be a Unix socket where the port's number is 0");
}

function* validateEgress(egress: readonly IstioEgressListener[], path: FieldPath): Errors {
  const taken = new Set<number | string>();
  for (const [index, listener] of egress.entries()) {
    const at = path.item(index);
    const { port, bind = "", hosts } = listener;
    if (port === undefined && index < egress.length - 1) {
      yield required(at.field("port"), "only the last listener may be for all other ports");
    }
    yield* validateEgressPort(listener, at);
    if (port !== undefined) {
      const place = port.number || bind;
      if (taken.has(place)) yield duplicate(port.number ? at.field("port", "number") : at.field("bind"), place);
      taken.add(place);
    }
    if (hosts.length === 0) yield required(at.field("hosts"), "at least one host");
    for (const [host, text] of hosts.entries()) yield* validateEgressHost(text, at.field("hosts").item(host));
  }
}

function* validateOutbound({ mode, egressProxy }: OutboundTrafficPolicy, path: FieldPath): Errors {
  if (egressProxy === undefined) return;
  const at = path.field("egressProxy");
  if (mode !== "ALLOW_ANY") {
    yield forbidden(at, "mode must be ALLOW_ANY for this");
    return;
  }
  const problem = domainProblem(egressProxy.host);
  if (problem !== undefined) yield invalid(at.field("host"), egressProxy.host, problem);
  if (egressProxy.port === undefined) yield required(at.field("port"));
  else yield* validateDestination(egressProxy, at);
}

/** Checks a Sidecar as Istio's webhook does. */
export function* validateSidecar({ spec }: Sidecar): Errors {
  const path = FieldPath.root.field("spec");
  const { ingress = [], egress = [], outboundTrafficPolicy, inboundConnectionPool, workloadSelector } = spec;
  yield* validateSelector(workloadSelector?.labels, path.field("workloadSelector", "labels"));
  if (ingress.length + egress.length === 0 && !outboundTrafficPolicy && !inboundConnectionPool) {
    yield required(path, "ingress, egress, inboundConnectionPool or outboundTrafficPolicy");
  }
  const ports = new Set<number>();
  for (const [index, listener] of ingress.entries()) {
    const at = path.field("ingress").item(index);
    yield* validateIngress(listener, at);
    const { number = 0 } = listener.port;
    if (ports.has(number)) yield duplicate(at.field("port", "number"), number);
    ports.add(number);
  }
  yield* validateConnectionPool(inboundConnectionPool, path.field("inboundConnectionPool"));
  yield* validateEgress(egress, path.field("egress"));
  if (outboundTrafficPolicy !== undefined) {
    yield* validateOutbound(outboundTrafficPolicy, path.field("outboundTrafficPolicy"));
  }
}

import { duplicate, FieldPath, forbidden, invalid, notSupported, required } from "../field.ts";
import type { Gateway, Server } from "./gateway.ts";
import {
  type Errors,
  isAddress,
  isDnsLabel,
  labelMessage,
  unixPrefix,
  unixProblem,
  validatePort,
  wildcardDomainProblem,
} from "./names.ts";
import { protocolNames, protocolOf } from "./protocol.ts";
import { validateServerTls } from "./server-tls-validation.ts";

/** Says why a host name cannot stand in a Gateway or Sidecar: short names are refused, and wildcards within a label. */
export function listedHostProblem(host: string): string | undefined {
  if (host !== "*" && !host.includes(".")) return "must be a full DNS name, not a short one";
  if (host.includes("*") && host !== "*" && !host.startsWith("*.")) return "a wildcard must be a whole label";
  return wildcardDomainProblem(host);
}

function* validateHost(text: string, path: FieldPath): Errors {
  const slash = text.indexOf("/");
  const host = text.slice(slash + 1);
  if (slash >= 0) {
    const namespace = text.slice(0, slash);
    if (namespace !== "*" && namespace !== "." && !isDnsLabel(namespace)) {
      yield invalid(path, text, "the part before '/' must be a namespace, '.' for the Gateway's own, or '*' for all");
    }
  }
  const problem = isAddress(host) ? undefined : listedHostProblem(host);
  if (problem !== undefined) yield invalid(path, text, problem);
}

function* validateServerPort({ port, bind = "" }: Server, path: FieldPath): Errors {
  const at = path.field("port");
  if (protocolOf(port.protocol) === undefined) yield notSupported(at.field("protocol"), port.protocol, protocolNames);
  if (port.targetPort) yield forbidden(at.field("targetPort"), "has no meaning in a Gateway");
  if (port.name === "") yield required(at.field("name"));
  if (bind.startsWith(unixPrefix)) {
    const problem = unixProblem(bind.slice(unixPrefix.length));
    if (problem !== undefined) yield invalid(path.field("bind"), bind, problem);
    if (port.number !== 0) yield invalid(at.field("number"), port.number, "must be 0 for a Unix socket");
    return;
  }
  yield* validatePort(port.number, at.field("number"));
  if (bind !== "" && !isAddress(bind))
    yield invalid(path.field("bind"), bind, "must be an IP address or a Unix socket");
}

function* validateTls({ port, tls }: Server, path: FieldPath): Errors {
  const protocol = protocolOf(port.protocol);
  if (tls !== undefined) yield* validateServerTls(tls, path);
  if (protocol === undefined) return;
  if (protocol.tls && tls === undefined) yield required(path, `for protocol ${port.protocol}`);
  if (protocol.tls || tls === undefined) return;
  const { mode = "PASSTHROUGH" } = tls;
  const onlyRedirect =
    protocol.http &&
    (mode === "PASSTHROUGH" || mode === "AUTO_PASSTHROUGH") &&
    !tls.caCertificates &&
    !tls.privateKey &&
    !tls.serverCertificate;
  if (!onlyRedirect) yield forbidden(path, `protocol ${port.protocol} has no TLS; HTTP may have httpsRedirect only`);
}

/** Checks a Gateway as Istio's webhook does. */
export function* validateGateway({ metadata, spec }: Gateway): Errors {
  const path = FieldPath.root.field("spec", "servers");
  if (metadata.name && !isDnsLabel(metadata.name)) {
    yield invalid(FieldPath.root.field("metadata", "name"), metadata.name, labelMessage);
  }
  if (!spec.servers?.length) yield required(path, "at least one server");
  const names = new Set<string>();
  for (const [index, server] of (spec.servers ?? []).entries()) {
    const at = path.item(index);
    if (server.hosts.length === 0) yield required(at.field("hosts"), "at least one host");
    for (const [host, text] of server.hosts.entries()) yield* validateHost(text, at.field("hosts").item(host));
    yield* validateServerPort(server, at);
    yield* validateTls(server, at.field("tls"));
    if (names.has(server.port.name)) yield duplicate(at.field("port", "name"), server.port.name);
    names.add(server.port.name);
  }
}

import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { GatewaySpec, Server } from "#api/istio/gateway.ts";
import type { ServiceEntrySpec } from "#api/istio/service-entry.ts";
import type { IstioIngressListener, SidecarSpec } from "#api/istio/sidecar.ts";
import type { TrafficPolicy } from "#api/istio/traffic-policy.ts";
import type { Finding } from "#api/finding.ts";
import type { ObjectId } from "#model/findings/findings.ts";
import { endingTls } from "#model/ingress.ts";
import { findingsOf, passedOn, type Problem } from "#model/findings/finding.ts";
import { parseProtocol } from "#model/protocol.ts";
import { isUnserved } from "#model/sidecars.ts";
import type { Tables } from "#model/tables.ts";
import { meshSecret } from "#model/credentials/name.ts";
import { builtinUses, clientCredentials, serverCredentials, type TlsCredentials } from "#model/credentials/uses.ts";
import { brokenHash, canEnd } from "./gateways/tls.ts";
import { conflictingServers } from "./gateways/conflicts.ts";
import { serverKind } from "./gateways/server.ts";

function notImplemented(field: string, message: string): Problem {
  return { code: "NotImplemented", severity: "warning", field, message };
}

const noSuchBuiltin = "The mesh has no certificates with names, only each workload's own";

function hasUnknownBuiltin(credentials: TlsCredentials | undefined): boolean {
  return builtinUses(credentials).some(({ resource }) => meshSecret(resource) === undefined);
}

function policyProblems(policy: TrafficPolicy | undefined, at: string): readonly Problem[] {
  if (!policy) return [];
  const { tls, portLevelSettings = [] } = policy;
  const problems: Problem[] = [];
  const add = (field: string, message: string): number => problems.push(notImplemented(`${at}.${field}`, message));
  if (tls && hasUnknownBuiltin(clientCredentials(tls))) {
    add("tls.credentialName", `${noSuchBuiltin}; connections fail. Write builtin://, or name a Secret.`);
  }
  const ports = portLevelSettings.flatMap((port, index) => policyProblems(port, `${at}.portLevelSettings[${index}]`));
  return [...problems, ...ports];
}

function ofDestinationRule({ trafficPolicy, subsets = [] }: DestinationRuleSpec): readonly Problem[] {
  return [
    ...policyProblems(trafficPolicy, "spec.trafficPolicy"),
    ...subsets.flatMap((subset, index) => policyProblems(subset.trafficPolicy, `spec.subsets[${index}].trafficPolicy`)),
  ];
}

/** Why nothing listens for a server. */
function unservedServer({ port, tls = {} }: Server, at: string): Problem {
  const nobody = "nothing listens for this server";
  const { mode = "" } = tls;
  if (hasUnknownBuiltin(serverCredentials(tls))) {
    return notImplemented(`${at}.tls`, `${noSuchBuiltin}; ${nobody}. Write builtin://, or name a Secret.`);
  }
  const broken = brokenHash(tls);
  if (broken !== undefined) {
    const form = broken === "verifyCertificateSpki" ? "44 characters of base64" : "64 hexadecimal digits";
    const message = `A SHA-256 hash has ${form}, and one here has not; ${nobody}, so that nobody comes in unchecked.`;
    return { code: "InvalidHash", severity: "error", field: `${at}.tls.${broken}`, message };
  }
  if (mode !== "") return notImplemented(`${at}.tls.mode`, `TLS of mode ${mode} is not set up yet; ${nobody}.`);
  return notImplemented(`${at}.port.protocol`, `Protocol ${port.protocol} is not served yet; ${nobody}.`);
}

function ofGateway({ servers = [] }: GatewaySpec): readonly Problem[] {
  return servers.flatMap((server, index) =>
    serverKind(server) === undefined ? [unservedServer(server, `spec.servers[${index}]`)] : [],
  );
}

function ofIngress(listener: IstioIngressListener, at: string): readonly Problem[] {
  const tls = endingTls(listener);
  const message =
    "This TLS cannot be set up, so that nobody is let in. Name serverCertificate and privateKey; check the hashes.";
  return tls && !canEnd(tls) ? [notImplemented(`${at}.tls`, message)] : [];
}

function ofSidecar({ ingress = [], egress = [] }: SidecarSpec): readonly Problem[] {
  const message =
    "One Unix socket cannot stand for all ports; nothing listens here. Give the listener a port of number 0.";
  const ports = egress.flatMap((listener, index) =>
    isUnserved(listener) ? [notImplemented(`spec.egress[${index}].bind`, message)] : [],
  );
  return [...ingress.flatMap((listener, index) => ofIngress(listener, `spec.ingress[${index}]`)), ...ports];
}

function ofServiceEntry({ ports = [] }: ServiceEntrySpec): readonly Problem[] {
  return ports.flatMap(({ number, protocol = "" }, index) =>
    parseProtocol(protocol) === "MySQL" ? [passedOn(`spec.ports[${index}].protocol`, number)] : [],
  );
}

/** What an object asks for that translation does not carry out: not yet, or since others are in its way. */
export function unsupported(tables: Tables, { kind, namespace, name }: ObjectId): readonly Finding[] {
  const key = `${namespace}/${name}`;
  switch (kind) {
    case "DestinationRule": {
      const row = tables.destinationRules.rows.get(key);
      return row ? findingsOf(row, ofDestinationRule(row.spec)) : [];
    }
    case "Gateway": {
      const row = tables.gateways.rows.get(key);
      if (!row) return [];
      return findingsOf(row, [...ofGateway(row.spec), ...conflictingServers(row, tables.gateways.rows.rows())]);
    }
    case "Sidecar": {
      const row = tables.sidecars.rows.get(key);
      return row ? findingsOf(row, ofSidecar(row.spec)) : [];
    }
    case "ProxyConfig": {
      const row = tables.proxyConfigs.rows.get(key);
      const message = "Nodes run the Envoy that they were given, and no image: this has no effect.";
      return row?.spec.image ? findingsOf(row, [notImplemented("spec.image", message)]) : [];
    }
    case "ServiceEntry": {
      const row = tables.serviceEntries.rows.get(key);
      return row ? findingsOf(row, ofServiceEntry(row.spec)) : [];
    }
    default:
      return [];
  }
}

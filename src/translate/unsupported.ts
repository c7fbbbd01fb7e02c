import type { DestinationRuleSpec } from "#api/istio/destination-rule.ts";
import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { ServiceEntrySpec } from "#api/istio/service-entry.ts";
import type { SidecarSpec } from "#api/istio/sidecar.ts";
import type { TrafficPolicy } from "#api/istio/traffic-policy.ts";
import type { Finding } from "#api/finding.ts";
import type { ObjectId } from "#model/findings/findings.ts";
import { findingsOf, type Problem } from "#model/findings/finding.ts";
import type { Tables } from "#model/tables.ts";
import { supportsTransport } from "./clusters/transport.ts";
import { isServed } from "./listeners/gateway.ts";

function notImplemented(field: string, message: string): Problem {
  return { code: "NotImplemented", severity: "warning", field, message };
}

function policyProblems(policy: TrafficPolicy | undefined, at: string): readonly Problem[] {
  if (!policy) return [];
  const { tls, tunnel, proxyProtocol, loadBalancer, outlierDetection, portLevelSettings = [] } = policy;
  const problems: Problem[] = [];
  const add = (field: string, message: string): number => problems.push(notImplemented(`${at}.${field}`, message));
  if (!supportsTransport({ tls })) add("tls", "TLS to the destination is not set up yet; connections are plain.");
  if (tunnel) add("tunnel", "Connections are not tunnelled yet; they go to the destination itself.");
  if (proxyProtocol) add("proxyProtocol", "The PROXY protocol is not spoken yet.");
  if (loadBalancer?.zoneAwareLbSetting)
    add("loadBalancer.zoneAwareLbSetting", "Zones are not considered in this way yet.");
  if ((outlierDetection?.outlierDetectionHttpErrorCodes ?? []).length > 0) {
    add(
      "outlierDetection.outlierDetectionHttpErrorCodes",
      "Errors are counted by the other members; the list has no effect yet.",
    );
  }
  const ports = portLevelSettings.flatMap((port, index) => policyProblems(port, `${at}.portLevelSettings[${index}]`));
  return [...problems, ...ports];
}

function ofDestinationRule({ workloadSelector, trafficPolicy, subsets = [] }: DestinationRuleSpec): readonly Problem[] {
  if (workloadSelector) {
    return [notImplemented("spec.workloadSelector", "Rules for chosen workloads have no effect yet.")];
  }
  return [
    ...policyProblems(trafficPolicy, "spec.trafficPolicy"),
    ...subsets.flatMap((subset, index) => policyProblems(subset.trafficPolicy, `spec.subsets[${index}].trafficPolicy`)),
  ];
}

function ofGateway({ servers = [] }: GatewaySpec): readonly Problem[] {
  return servers.flatMap((server, index) => {
    if (isServed(server)) return [];
    const message = `Servers of protocol ${server.port.protocol}${server.tls ? " with TLS" : ""} are not served yet; nothing listens for this one.`;
    return [notImplemented(`spec.servers[${index}]`, message)];
  });
}

function ofSidecar({ ingress = [], egress = [] }: SidecarSpec): readonly Problem[] {
  const ports = egress.flatMap(({ port, bind, captureMode }, index) => {
    if (port === undefined && (bind ?? "") === "" && captureMode !== "NONE") return [];
    const message = "Listeners of their own are not made yet; the hosts are let in on all of their ports.";
    return [notImplemented(`spec.egress[${index}]`, message)];
  });
  const message = "Ports are taken from the workload's Services; ingress listeners have no effect yet.";
  return [...(ingress.length > 0 ? [notImplemented("spec.ingress", message)] : []), ...ports];
}

function ofServiceEntry({ resolution }: ServiceEntrySpec): readonly Problem[] {
  if (resolution !== "DYNAMIC_DNS") return [];
  return [
    notImplemented(
      "spec.resolution",
      "Names are not resolved per request yet; the service is passed through as with NONE.",
    ),
  ];
}

/** What an object asks for that translation does not carry out yet. */
export function unsupported(tables: Tables, { kind, namespace, name }: ObjectId): readonly Finding[] {
  const key = `${namespace}/${name}`;
  switch (kind) {
    case "DestinationRule": {
      const row = tables.destinationRules.rows.get(key);
      return row ? findingsOf(row, ofDestinationRule(row.spec)) : [];
    }
    case "Gateway": {
      const row = tables.gateways.rows.get(key);
      return row ? findingsOf(row, ofGateway(row.spec)) : [];
    }
    case "Sidecar": {
      const row = tables.sidecars.rows.get(key);
      return row ? findingsOf(row, ofSidecar(row.spec)) : [];
    }
    case "ServiceEntry": {
      const row = tables.serviceEntries.rows.get(key);
      return row ? findingsOf(row, ofServiceEntry(row.spec)) : [];
    }
    default:
      return [];
  }
}

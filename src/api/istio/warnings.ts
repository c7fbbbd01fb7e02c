import { FieldPath, warning } from "../field.ts";
import type { ServerTLSSettings } from "./common.ts";
import type { DestinationRule } from "./destination-rule.ts";
import type { Gateway } from "./gateway.ts";
import { isCipherSuite, usableCipherSuites } from "./cipher-suites.ts";
import { protocolOf } from "./protocol.ts";
import { takesAddresses } from "./address-allocation.ts";
import type { ServiceEntry } from "./service-entry.ts";
import type { IstioEgressListener, Sidecar } from "./sidecar.ts";
import type { LoadBalancerSettings, OutlierDetection, PortTrafficPolicy, TrafficPolicy } from "./traffic-policy.ts";
import type { WorkloadEntry, WorkloadEntrySpec } from "./workload-entry.ts";

/** What checks tell of an object that is accepted all the same. */
export type Warnings = Generator<string, void>;

function* tlsWarnings(tls: ServerTLSSettings, path: FieldPath): Warnings {
  const suites = tls.cipherSuites ?? [];
  if ((tls.minProtocolVersion === "TLSV1_0" || tls.minProtocolVersion === "TLSV1_1") && suites.length === 0) {
    yield warning(
      path.field("minProtocolVersion"),
      "versions under TLS 1.2 need cipherSuites too: the default suites do not fit",
    );
  }
  for (const [index, suite] of suites.entries()) {
    const at = path.field("cipherSuites").item(index);
    if (!isCipherSuite(suite)) yield warning(at, `unknown cipher suite ${suite} is ignored`);
    else if (suites.indexOf(suite) < index) yield warning(at, `repeated cipher suite ${suite} is ignored`);
  }
  if (suites.length > 0 && suites.every(isCipherSuite) && usableCipherSuites(suites).length === 0) {
    yield warning(path.field("cipherSuites"), "leaves no cipher suite; the default ones are used");
  }
  if (tls.mode !== undefined && tls.mode !== "PASSTHROUGH" && tls.mode !== "AUTO_PASSTHROUGH") return;
  const given = [tls.caCrl, tls.serverCertificate, tls.privateKey, tls.caCertificates, tls.credentialName];
  if (given.some(Boolean) || tls.tlsCertificates?.length || tls.credentialNames?.length) {
    yield warning(path, `mode ${tls.mode ?? "PASSTHROUGH"} uses no certificates; they are ignored`);
  }
}

/** What Istio warns of in a Gateway. */
export function* gatewayWarnings({ spec }: Gateway): Warnings {
  for (const [index, { port, tls }] of (spec.servers ?? []).entries()) {
    if (tls === undefined) continue;
    const path = FieldPath.root.field("spec", "servers").item(index).field("tls");
    if (tls.httpsRedirect && !protocolOf(port.protocol)?.http) {
      yield warning(path.field("httpsRedirect"), "only works for HTTP");
    }
    yield* tlsWarnings(tls, path);
  }
}

function* balancerWarnings(
  settings: LoadBalancerSettings | undefined,
  outlier: OutlierDetection | undefined,
  path: FieldPath,
): Warnings {
  if (settings?.consistentHash?.minimumRingSize) {
    yield warning(path.field("consistentHash", "minimumRingSize"), "deprecated; use ringHash");
  }
  for (const name of ["localityLbSetting", "zoneAwareLbSetting"] as const) {
    const setting = settings?.[name];
    if (outlier === undefined && (setting?.failover?.length || setting?.failoverPriority?.length)) {
      yield warning(path.field(name), "failover needs outlierDetection, which is not set");
    }
  }
}

function* policyWarnings(policy: TrafficPolicy | PortTrafficPolicy | undefined, path: FieldPath): Warnings {
  if (policy === undefined) return;
  if (policy.outlierDetection?.consecutiveErrors) {
    const at = path.field("outlierDetection", "consecutiveErrors");
    yield warning(at, "deprecated; use consecutiveGatewayErrors or consecutive5xxErrors");
  }
  yield* balancerWarnings(policy.loadBalancer, policy.outlierDetection, path.field("loadBalancer"));
  if (!("portLevelSettings" in policy)) return;
  for (const [index, setting] of (policy.portLevelSettings ?? []).entries()) {
    yield* policyWarnings(setting, path.field("portLevelSettings").item(index));
  }
}

/** What Istio warns of in the labels of a selector. */
export function* selectorWarnings(labels: object | undefined, path: FieldPath): Warnings {
  if (Object.keys(labels ?? {}).length === 0)
    yield warning(path, "without labels, all workloads of the namespace are selected");
}

/** What Istio warns of in a DestinationRule. */
export function* destinationRuleWarnings({ spec }: DestinationRule): Warnings {
  const path = FieldPath.root.field("spec");
  yield* policyWarnings(spec.trafficPolicy, path.field("trafficPolicy"));
  for (const [index, { trafficPolicy }] of (spec.subsets ?? []).entries()) {
    yield* policyWarnings(trafficPolicy, path.field("subsets").item(index).field("trafficPolicy"));
  }
  if (spec.workloadSelector) yield* selectorWarnings(spec.workloadSelector.matchLabels, path.field("workloadSelector"));
}

/** Hosts of an egress listener that others of it hold already. */
function* egressWarnings({ hosts }: IstioEgressListener, own: string, path: FieldPath): Warnings {
  const seen = new Map<string, Set<string>>();
  for (const [index, text] of hosts.entries()) {
    const [prefix = "", host = ""] = text.split("/");
    if (prefix.startsWith("~")) continue;
    const namespace = prefix === "." ? own : prefix;
    const before = seen.get(namespace) ?? new Set<string>();
    if (before.has(host) || before.has("*") || (host === "*" && before.size > 0)) {
      yield warning(path.item(index), `${text} is there already, alone or as part of another`);
    }
    seen.set(namespace, before.add(host));
  }
  if (seen.get("*")?.has("*") && seen.size > 1) yield warning(path, "*/* holds everything; the other hosts do nothing");
}

/** What Istio warns of in a Sidecar. */
export function* sidecarWarnings({ metadata, spec }: Sidecar): Warnings {
  const path = FieldPath.root.field("spec");
  if (spec.workloadSelector) yield* selectorWarnings(spec.workloadSelector.labels, path.field("workloadSelector"));
  for (const [index, { port, connectionPool, tls }] of (spec.ingress ?? []).entries()) {
    const at = path.field("ingress").item(index);
    if (connectionPool?.http && !protocolOf(port.protocol ?? "")?.http) {
      yield warning(at.field("connectionPool", "http"), "does nothing, since the port's protocol is not HTTP");
    }
    if (tls) yield* tlsWarnings(tls, at.field("tls"));
  }
  for (const [index, listener] of (spec.egress ?? []).entries()) {
    yield* egressWarnings(listener, metadata.namespace ?? "", path.field("egress").item(index).field("hosts"));
  }
}

/** Ports whose connections name no host, of entries that have no addresses and are given none. */
function* addressWarnings({ metadata, spec }: ServiceEntry, path: FieldPath): Warnings {
  if (spec.addresses?.length || takesAddresses(spec, metadata.labels)) return;
  for (const [index, { protocol = "" }] of (spec.ports ?? []).entries()) {
    if (protocol !== "" && protocol !== "TCP") continue;
    yield warning(path.field("ports").item(index), "connections that are plain TCP need addresses to be told apart");
  }
}

/** What Istio warns of in a ServiceEntry. */
export function* serviceEntryWarnings(entry: ServiceEntry): Warnings {
  const path = FieldPath.root.field("spec");
  const { spec } = entry;
  const { hosts, addresses = [], ports = [], resolution = "NONE" } = spec;
  if (spec.workloadSelector) {
    yield* selectorWarnings(spec.workloadSelector.labels, path.field("workloadSelector"));
    if (resolution === "NONE") yield warning(path.field("workloadSelector"), "does nothing for resolution NONE");
  }
  for (const [index, host] of hosts.entries()) {
    if (resolution !== "DYNAMIC_DNS" && host.includes("*") && host !== "*" && !host.startsWith("*.")) {
      yield warning(path.field("hosts").item(index), "a wildcard should be a whole label");
    }
  }
  const dns = resolution === "DNS" || resolution === "DNS_ROUND_ROBIN";
  const tcp = ports.some(({ protocol }) => protocolOf(protocol ?? "")?.tcp);
  if (dns && addresses.length > 0 && hosts.length > 1 && tcp) {
    yield warning(path.field("hosts"), "TCP connections to the addresses cannot be told apart by host; use one host");
  }
  yield* addressWarnings(entry, path);
  for (const [index, endpoint] of (spec.endpoints ?? []).entries()) {
    yield* workloadWarnings(endpoint, path.field("endpoints").item(index));
  }
}

function* workloadWarnings({ address, network }: WorkloadEntrySpec, path: FieldPath): Warnings {
  if (address) return;
  yield warning(path.field("address"), `not set; the workload is reached through the network ${network}'s gateway`);
}

/** What Istio warns of in a WorkloadEntry. */
export function workloadEntryWarnings({ spec }: WorkloadEntry): Warnings {
  return workloadWarnings(spec, FieldPath.root.field("spec"));
}

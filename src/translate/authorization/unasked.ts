import type { Operation, Rule } from "#api/istio/authorization-policy.ts";
import type { GatewaySpec } from "#api/istio/gateway.ts";
import type { StringMap } from "#api/meta.ts";
import { ownValue } from "#api/record.ts";
import { listenerProtocol } from "#model/protocol.ts";
import type { Config } from "#model/rows.ts";
import type { Service } from "#model/service.ts";
import { type ServerKind, serverKind } from "../gateways/server.ts";
import type { PolicyRow } from "./rbac.ts";

/** What of the mesh decides which ports carry connections that are not HTTP. */
interface PortsContext {
  /** Services whose workloads the policy may be for. */
  readonly services: readonly Service[];
  readonly gateways: readonly Config<GatewaySpec>[];
}

/** A workload's port, by its number or its name. */
interface BytesPort {
  readonly target: number | string;
  /** As users know it: `9001 of HOST`. */
  readonly words: string;
}

/** Operations of a rule that fit connections too: they ask nothing that requests alone tell. */
function operationsOnConnections({ from = [], to = [], when = [] }: Rule): readonly Operation[] {
  const sources = from.length > 0 ? from.map(({ source = {} }) => source) : [{}];
  const byToken = sources.every(
    ({ requestPrincipals = [], notRequestPrincipals = [] }) =>
      requestPrincipals.length + notRequestPrincipals.length > 0,
  );
  if (byToken || when.some(({ key }) => key.startsWith("request."))) return [];
  const operations = to.length > 0 ? to.map(({ operation = {} }) => operation) : [{}];
  return operations.filter(({ hosts = [], notHosts = [], methods = [], notMethods = [], paths = [], notPaths = [] }) =>
    [hosts, notHosts, methods, notMethods, paths, notPaths].every((each) => each.length === 0),
  );
}

/** Whether an operation is about a workload's port; one that is known by name alone may be any. */
function isAbout({ ports = [], notPorts = [] }: Operation, { target }: BytesPort): boolean {
  if (typeof target === "string") return true;
  const number = String(target);
  return (ports.length === 0 || ports.includes(number)) && !notPorts.includes(number);
}

/** Whether no label stands against both being of one workload. */
function fit(some: StringMap, others: StringMap): boolean {
  return Object.entries(some).every(([name, value]) => (ownValue(others, name) ?? value) === value);
}

/** Whether workloads of the labels are a Gateway's proxies: they have no ports but its servers'. */
function isFor({ spec: { selector = {} } }: Config<GatewaySpec>, labels: StringMap): boolean {
  return fit(selector, labels) && Object.keys(selector).some((name) => ownValue(labels, name) !== undefined);
}

const bytes: ReadonlySet<ServerKind | undefined> = new Set(["tcp", "tls", "passthrough", "auto-passthrough"]);

function serverPorts({ namespace, name, spec }: Config<GatewaySpec>): readonly BytesPort[] {
  return (spec.servers ?? [])
    .filter((server) => bytes.has(serverKind(server)))
    .map(({ port: { number } }) => ({ target: number, words: `${number} of Gateway ${namespace}/${name}` }));
}

function servicePorts({ host, ports }: Service): readonly BytesPort[] {
  return ports
    .filter(({ protocol }) => ["tcp", "auto"].includes(listenerProtocol(protocol)))
    .map(({ number, targetPort }) => ({ target: targetPort, words: `${number} of ${host}` }));
}

/** Ports of workloads that a policy may be for where a connection need not be HTTP. */
function bytesPorts({ spec: { selector } }: PolicyRow, { services, gateways }: PortsContext): readonly BytesPort[] {
  const wanted = selector?.matchLabels ?? {};
  return services.flatMap((service) => {
    const all = Object.values(service.selectors).filter((labels) => fit(wanted, labels));
    if (all.length === 0) return [];
    const theirs = gateways.filter((gateway) => all.some((labels) => isFor(gateway, labels)));
    return theirs.length > 0 ? theirs.flatMap(serverPorts) : servicePorts(service);
  });
}

/** Ports where connections that are not HTTP are let in unasked, though rules of the policy are about them: `9001 of HOST`. */
export function unaskedPorts(row: PolicyRow, context: PortsContext): readonly string[] {
  const operations = (row.spec.rules ?? []).flatMap(operationsOnConnections);
  const ports = bytesPorts(row, context).filter((port) => operations.some((each) => isAbout(each, port)));
  return [...new Set(ports.map(({ words }) => words))];
}

import type { Service } from "#api/kubernetes/service.ts";
import type { ServiceEntrySpec } from "#api/istio/service-entry.ts";
import { passedOn } from "#model/findings/finding.ts";
import { parseProtocol, portProtocol, serverFirstPorts } from "#model/protocol.ts";
import { type Analyzer, problemOf } from "../analyzer.ts";
import { isControlPlane, type MeshObjects, type Subject } from "../mesh-objects.ts";
import type { Problem } from "../message.ts";
import { fieldPointer } from "#api/field-path.ts";

type ServiceSpec = Service["spec"];
type Port = NonNullable<ServiceSpec["ports"]>[number];

/** Services of gateways that the mesh itself made are not their users' to name. */
const managedLabel = "gateway.istio.io/managed";

function protocolOf({ name = "", port, protocol, appProtocol }: Port): string {
  return portProtocol({ name, number: port, transport: protocol, appProtocol });
}

function* portNames(service: Subject<ServiceSpec>): Generator<Problem> {
  const { ref, labels, spec } = service;
  if (labels[managedLabel] !== undefined || isControlPlane(service)) return;
  for (const [index, port] of (spec.ports ?? []).entries()) {
    const { name = "", port: number, targetPort = number } = port;
    const isSniffed = protocolOf(port) === "Auto";
    const field = `spec.ports[${index}]`;
    if (spec.type === "ExternalName") {
      if (!isSniffed && name !== "tcp") continue;
      const message = `Port ${number} of an ExternalName Service takes connections of any protocol for every address; name it for its protocol, such as http or tls, or set appProtocol.`;
      yield problemOf(ref, { code: "ExternalNameServiceTypeInvalidPortName", field, message });
    } else if (isSniffed) {
      const message = `Port name ${name === "" ? '""' : name} (port: ${number}, targetPort: ${targetPort}) does not tell the protocol, which is sniffed; name it <protocol>[-<suffix>] or set appProtocol.`;
      yield problemOf(ref, { code: "PortNameIsNotUnderNamingConvention", severity: "info", field, message });
    }
  }
}

/** Ports by their names. */
export const portNameAnalyzer: Analyzer = {
  name: "service.PortNameAnalyzer",
  description: "Checks the port names of each Service",
  *problems(objects) {
    for (const service of objects.all<ServiceSpec>("Service")) yield* portNames(service);
  },
};

/** Parts of names of ports whose servers greet before the client says anything. */
const serverFirstWords = /(?:^|[^a-z])(?:mysql|mariadb|mongo(?:db)?|smtp|ftp|imap|pop3|ssh)(?:$|[^a-z])/i;

function isServerFirst(name: string, ...targets: readonly (number | string)[]): boolean {
  return [name, ...targets].some((each) =>
    typeof each === "number" ? serverFirstPorts.has(each) : serverFirstWords.test(each),
  );
}

const wait =
  "its servers usually talk first, so that connections wait until sniffing gives up, and may never be understood";

function* sniffedServices({ all }: MeshObjects): Generator<Problem> {
  for (const { ref, spec } of all<ServiceSpec>("Service")) {
    for (const [index, port] of (spec.ports ?? []).entries()) {
      const { name = "", port: number, targetPort = number } = port;
      if (protocolOf(port) !== "Auto" || !isServerFirst(name, targetPort)) continue;
      const field = `spec.ports[${index}]`;
      const path = `${fieldPointer(field)}/appProtocol`;
      const fix = { text: "Say that the port is plain TCP.", patch: [{ op: "add", path, value: "tcp" }] } as const;
      const message = `The protocol of port ${number} (targetPort: ${targetPort}) is sniffed, but ${wait}. Set appProtocol: tcp.`;
      yield problemOf(ref, { code: "ServerFirstProtocolOnSniffedPort", field, message, fix });
    }
  }
}

function* sniffedEntries({ all }: MeshObjects): Generator<Problem> {
  for (const { ref, spec } of all<ServiceEntrySpec>("ServiceEntry")) {
    for (const [index, { name, number, protocol = "", targetPort }] of (spec.ports ?? []).entries()) {
      if (parseProtocol(protocol) !== undefined || !isServerFirst(name, number, targetPort ?? number)) continue;
      const field = `spec.ports[${index}]`;
      const path = `${fieldPointer(field)}/protocol`;
      const fix = { text: "Say that the port is plain TCP.", patch: [{ op: "add", path, value: "TCP" }] } as const;
      const message = `The protocol of port ${number} is sniffed, but ${wait}. Set protocol: TCP.`;
      yield problemOf(ref, { code: "ServerFirstProtocolOnSniffedPort", field, message, fix });
    }
  }
}

/** Ports that are sniffed and should not be. */
export const serverFirstAnalyzer: Analyzer = {
  name: "service.ServerFirstAnalyzer",
  description: "Checks that the protocol of ports whose servers talk first is not sniffed",
  problems: (objects) => [...sniffedServices(objects), ...sniffedEntries(objects)],
};

/** Ports that are named for what Envoy has no filter for; for ServiceEntries the control plane says so itself. */
export const plainPortAnalyzer: Analyzer = {
  name: "service.PlainPortAnalyzer",
  description: "Tells of ports whose protocol is only passed on",
  *problems({ all }) {
    for (const { ref, spec } of all<ServiceSpec>("Service")) {
      for (const [index, port] of (spec.ports ?? []).entries()) {
        if (protocolOf(port) === "MySQL") yield problemOf(ref, passedOn(`spec.ports[${index}]`, port.port));
      }
    }
  },
};

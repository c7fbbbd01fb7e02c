import type { Finding, Severity } from "./finding.ts";
import { ownValue } from "./record.ts";

/** How bad a message of analysis is, in Istio's words. */
export type Level = "Error" | "Warning" | "Info";

/** The levels, the worst first. */
export const levels: readonly Level[] = ["Error", "Warning", "Info"];

/** A kind of message that analysis has: Istio's, with its code and level, or one of Weft's own, whose code is its name. */
export interface MessageType {
  readonly code: string;
  readonly name: string;
  readonly level: Level;
  /** What it tells, in one sentence. */
  readonly meaning: string;
}

type Row = readonly [code: string, name: string, level: Level, meaning: string];

/** Names, codes and levels are those of Istio's `pkg/config/analysis/msg/messages.yaml`. */
const istioRows: readonly Row[] = [
  ["IST0002", "Deprecated", "Warning", "A field is deprecated; the message names the one to use."],
  ["IST0101", "ReferencedResourceNotFound", "Error", "Something that the object refers to does not exist."],
  [
    "IST0106",
    "SchemaValidationError",
    "Error",
    "The object would be refused: a field is unknown, missing or has a wrong value.",
  ],
  ["IST0107", "MisplacedAnnotation", "Warning", "An annotation of Istio's has no meaning on objects of this kind."],
  ["IST0108", "UnknownAnnotation", "Warning", "Istio has no annotation of this name."],
  [
    "IST0109",
    "ConflictingMeshGatewayVirtualServiceHosts",
    "Error",
    "Two VirtualServices are for one host; sidecars follow one of them.",
  ],
  ["IST0110", "ConflictingSidecarWorkloadSelectors", "Error", "Two Sidecars select one Pod."],
  ["IST0111", "MultipleSidecarsWithoutWorkloadSelectors", "Error", "A namespace has more than one default Sidecar."],
  [
    "IST0112",
    "VirtualServiceDestinationPortSelectorRequired",
    "Error",
    "A route leads to a service of several ports and names none.",
  ],
  [
    "IST0116",
    "DeploymentAssociatedToMultipleServices",
    "Warning",
    "Services of one Deployment have one port with different transport protocols.",
  ],
  [
    "IST0118",
    "PortNameIsNotUnderNamingConvention",
    "Info",
    "The protocol of a Service's port is not told by its name; it is sniffed.",
  ],
  ["IST0123", "NamespaceMultipleInjectionLabels", "Warning", "A namespace has several labels that ask for injection."],
  ["IST0125", "InvalidAnnotation", "Warning", "An annotation of Istio's has a value that it cannot have."],
  ["IST0127", "NoMatchingWorkloadsFound", "Warning", "No workload has the labels that the object selects."],
  [
    "IST0128",
    "NoServerCertificateVerificationDestinationLevel",
    "Warning",
    "A DestinationRule asks for TLS and does not say whose server certificates are taken.",
  ],
  ["IST0129", "NoServerCertificateVerificationPortLevel", "Warning", "The same, for one port."],
  [
    "IST0130",
    "VirtualServiceUnreachableRule",
    "Warning",
    "A rule is never used: rules before take all that it matches.",
  ],
  ["IST0131", "VirtualServiceIneffectiveMatch", "Info", "A match is never used: a rule before has it too."],
  [
    "IST0132",
    "VirtualServiceHostNotFoundInGateway",
    "Warning",
    "No server of the Gateways takes a host of the VirtualService.",
  ],
  ["IST0133", "SchemaWarning", "Warning", "The object is accepted, and something in it has no effect or surprises."],
  [
    "IST0134",
    "ServiceEntryAddressesRequired",
    "Warning",
    "Connections to a TCP port cannot be told apart without addresses.",
  ],
  ["IST0135", "DeprecatedAnnotation", "Info", "An annotation of Istio's is deprecated."],
  [
    "IST0136",
    "AlphaAnnotation",
    "Info",
    "An annotation of Istio's is of alpha quality; asked for with --analyzer only.",
  ],
  [
    "IST0137",
    "DeploymentConflictingPorts",
    "Warning",
    "Services of one Deployment lead different ports to one target port.",
  ],
  ["IST0138", "GatewayDuplicateCertificate", "Warning", "Gateways of the same proxies share a certificate."],
  [
    "IST0140",
    "IngressRouteRulesNotAffected",
    "Warning",
    "Rules of a service that choose subsets do not hold for requests through a gateway.",
  ],
  ["IST0144", "InvalidApplicationUID", "Warning", "A container runs as user 1337, whose traffic is not captured."],
  ["IST0145", "ConflictingGateways", "Error", "Servers of Gateways of the same proxies have one port and one host."],
  [
    "IST0149",
    "JwtClaimBasedRoutingWithoutRequestAuthN",
    "Error",
    "A route matches claims of tokens that nobody verifies at the gateway.",
  ],
  ["IST0150", "ExternalNameServiceTypeInvalidPortName", "Warning", "The port of an ExternalName Service is plain TCP."],
  [
    "IST0151",
    "EnvoyFilterUsesRelativeOperation",
    "Warning",
    "A patch refers to what may not be there yet, and has no priority.",
  ],
  ["IST0152", "EnvoyFilterUsesReplaceOperationIncorrectly", "Error", "REPLACE has no effect on what it is applied to."],
  ["IST0153", "EnvoyFilterUsesAddOperationIncorrectly", "Error", "ADD has no effect on what it is applied to."],
  ["IST0154", "EnvoyFilterUsesRemoveOperationIncorrectly", "Error", "REMOVE has no effect on what it is applied to."],
  [
    "IST0155",
    "EnvoyFilterUsesRelativeOperationWithProxyVersion",
    "Warning",
    "The same as IST0151, beside a patch of the same name for some proxy versions.",
  ],
  ["IST0157", "InvalidTelemetryProvider", "Warning", "Access logging names no provider, and the mesh has no default."],
  ["IST0159", "ConflictingTelemetryWorkloadSelectors", "Error", "Two Telemetries select one Pod."],
  [
    "IST0160",
    "MultipleTelemetriesWithoutWorkloadSelectors",
    "Error",
    "A namespace has more than one default Telemetry.",
  ],
  ["IST0161", "InvalidGatewayCredential", "Error", "A gateway cannot use a Secret, or its certificate has expired."],
  [
    "IST0162",
    "GatewayPortNotDefinedOnService",
    "Warning",
    "No Service of the gateway's Pods leads to the server's port.",
  ],
  ["IST0170", "MultiClusterInconsistentService", "Warning", "The Services of one name differ between clusters."],
  ["IST0171", "NegativeConditionStatus", "Warning", "A condition in the object's status is negative."],
  ["IST0173", "DestinationRuleSubsetNotSelectPods", "Error", "A subset has no endpoint."],
  ["IST0174", "UnknownDestinationRuleHost", "Warning", "A DestinationRule is for a host that no service has."],
  [
    "IST0177",
    "ConflictingServiceEntryProtocol",
    "Warning",
    "ServiceEntries give one port of one host different protocols.",
  ],
];

const ownRows: readonly (readonly [name: string, level: Level, meaning: string])[] = [
  ["AddressNotIP", "Error", "An endpoint of a STATIC ServiceEntry is no IP address; it is left out."],
  ["ConflictingPolicies", "Warning", "Two PeerAuthentications are for the same workloads; the older one is followed."],
  [
    "ConnectionsNotAsked",
    "Warning",
    "A policy asks an external authorizer over HTTP, and is for ports where connections that are not HTTP are let in unasked.",
  ],
  ["DeclaresEverything", "Warning", "A Sidecar declares every host, so that discovery OnDemand has no effect."],
  ["DelegateConflict", "Warning", "A VirtualService cannot be delegated to; its routes are left out."],
  ["DelegateNotVisible", "Warning", "A VirtualService that is delegated to is not exported to the one that delegates."],
  ["DuplicateObject", "Warning", "Files have an object more than once; the last one counts."],
  ["EndingAuthority", "Warning", "A certificate of the mesh's authority, or a root, ends soon: within 30 days."],
  [
    "RemoteSecretRefused",
    "Error",
    "One of Istio's remote secrets joins no cluster, or its kubeconfig is not used: the Mesh's condition `RemoteSecretsAccepted`.",
  ],
  ["EndingCredential", "Warning", "A certificate that a Gateway or DestinationRule names ends soon: within 30 days."],
  [
    "ForbiddenCredential",
    "Error",
    "A service account may not list the Secrets of its namespace, so that its proxies are not served one that a Gateway or DestinationRule names.",
  ],
  ["GatewayRouteMismatch", "Warning", "Routes are of a protocol that the Gateway's servers do not see."],
  ["InvalidCredential", "Error", "What a DestinationRule's credentialName means cannot be used, or has expired."],
  [
    "InvalidDiscovery",
    "Warning",
    "A label or annotation that is to say what proxies hold has a value, or a place, that means nothing.",
  ],
  ["InvalidHash", "Error", "A hash of a certificate is not one; connections would never be accepted."],
  [
    "InvalidHijack",
    "Warning",
    "A label or annotation that is to say how connections are led to proxies has a value, or a place, that means nothing.",
  ],
  ["InvalidPatch", "Error", "A patch of an EnvoyFilter does not fit what it is applied to."],
  ["InvalidYAML", "Error", "A document of a file cannot be read, or is no object."],
  ["KeysUnavailable", "Error", "The keys that verify an issuer's tokens cannot be fetched."],
  [
    "LocalityWithoutOutlierDetection",
    "Warning",
    "Load is balanced by locality without outlier detection, so that it never fails over.",
  ],
  ["NoEffect", "Warning", "A patch of an EnvoyFilter does nothing."],
  ["NotImplemented", "Warning", "The object asks for something that Weft does not carry out yet."],
  ["ProtocolPassedOn", "Info", "A port is named for a protocol that proxies only pass on as TCP, such as MySQL."],
  [
    "ProxyAsksTooMuch",
    "Warning",
    "A proxy asks for more names than it may, for long ones, for what is not there, or in too long a request.",
  ],
  ["ProxyChangesNode", "Warning", "A proxy said in the middle of its stream that it is another."],
  [
    "ProxyClaimsMany",
    "Warning",
    "More proxies than there can be say over one address of the control plane who they are; new ones wait.",
  ],
  ["ProxyDuplicated", "Warning", "Several streams say for long that they are the same proxy."],
  [
    "ProxyEndpointsStale",
    "Warning",
    "A proxy has long held other endpoints of a cluster than the control plane sent it; the message names them.",
  ],
  [
    "ProxyFloods",
    "Warning",
    "A proxy sends more requests than it may, or asks again and again for what it has; it is slowed down.",
  ],
  ["ProxyForeignAnswer", "Warning", "A proxy answers responses that were not sent on its stream."],
  ["ProxyInvalidNode", "Warning", "What a proxy says of itself cannot be used, so that it is not served."],
  ["ProxyInvalidRequest", "Warning", "A peer sends the control plane what is no request."],
  ["ProxyNeverReads", "Warning", "A proxy takes nothing of what it is sent, and was disconnected."],
  [
    "ProxyReconnects",
    "Warning",
    "A proxy connects to the control plane again and again; it waits the longer the more often it does.",
  ],
  ["ProxyRefusesAgain", "Warning", "A proxy refuses what it is sent, again and again."],
  ["ProxySaysNothing", "Warning", "A peer opened a stream to the control plane and did not say whose it is."],
  [
    "ServerFirstProtocolOnSniffedPort",
    "Warning",
    "The protocol of a port whose servers usually talk first is sniffed, so that connections wait.",
  ],
  ["TlsOverTls", "Warning", "A DestinationRule puts TLS around what callers send as TLS already."],
  ["TooManyEndpoints", "Warning", "A ServiceEntry of resolution DNS_ROUND_ROBIN has more than one endpoint."],
  ["UnknownField", "Warning", "A patch of an EnvoyFilter has a field that Envoy does not know."],
  ["UnknownHost", "Warning", "A Sidecar lets in, or an EgressScope declares, a host that no service has."],
  ["UnknownKind", "Info", "Weft has no such kind; the object was not looked at."],
  ["UnmatchableServerName", "Error", "A TLS server name has a wildcard that proxies cannot match."],
  ["UnsafeRetries", "Warning", "Requests that may have had an effect are sent again."],
  [
    "UnusableAuthority",
    "Error",
    "The Secret of the mesh's authority cannot be used, so that the last good one goes on, or a certificate of it has ended.",
  ],
  ["UnusableKeys", "Error", "No key of a RequestAuthentication can verify a token."],
  [
    "UnusableProvider",
    "Error",
    "A policy asks an external authorizer that cannot be asked; what it is about is refused.",
  ],
];

/** Every kind of message, Istio's first. */
export const messageTypes: readonly MessageType[] = [
  ...istioRows.map(([code, name, level, meaning]) => ({ code, name, level, meaning })),
  ...ownRows.map(([name, level, meaning]) => ({ code: name, name, level, meaning })),
];

const byName = new Map(messageTypes.map((type) => [type.name, type]));

/** Names of Istio's messages for codes of findings, by the kind of the object; `*` is every kind. */
const istioNames: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  UnknownHost: { VirtualService: "ReferencedResourceNotFound", DestinationRule: "UnknownDestinationRuleHost" },
  UnknownSubset: { "*": "ReferencedResourceNotFound" },
  UnknownPort: { "*": "ReferencedResourceNotFound" },
  UnknownDelegate: { "*": "ReferencedResourceNotFound" },
  UnknownGateway: { "*": "ReferencedResourceNotFound" },
  MissingCredential: { "*": "ReferencedResourceNotFound" },
  InvalidCredential: { Gateway: "InvalidGatewayCredential" },
  GatewayWithoutWorkload: { "*": "ReferencedResourceNotFound" },
  NoWorkload: { Sidecar: "ReferencedResourceNotFound", "*": "NoMatchingWorkloadsFound" },
  HostNotInGateway: { "*": "VirtualServiceHostNotFoundInGateway" },
  ConflictingHosts: { "*": "ConflictingMeshGatewayVirtualServiceHosts" },
  ConflictingServers: { "*": "ConflictingGateways" },
  ConflictingSidecars: { "*": "MultipleSidecarsWithoutWorkloadSelectors" },
  SubsetWithoutEndpoints: { "*": "DestinationRuleSubsetNotSelectPods" },
  UnreachableRoute: { "*": "VirtualServiceUnreachableRule" },
};

const levelOf: Readonly<Record<Severity, Level>> = { error: "Error", warning: "Warning", info: "Info" };

/**
 * The kind of message that a finding is. Istio's messages have the levels that Istio gave them; Weft's own are as bad
 * as the finding says.
 */
export function messageType({ code, severity, resource }: Finding): MessageType {
  const names = ownValue(istioNames, code);
  const name = ownValue(names, resource.kind) ?? ownValue(names, "*") ?? code;
  const known = byName.get(name);
  if (known && known.code !== known.name) return known;
  return { code: name, name, level: levelOf[severity], meaning: known?.meaning ?? "" };
}

/** Where a kind of message is explained: Istio's in its own reference. */
export function documentationUrl({ code, name }: MessageType): string {
  if (code === name) return `docs/analyze.md#${name.toLowerCase()}`;
  return `https://istio.io/latest/docs/reference/config/analysis/${code.toLowerCase()}/`;
}

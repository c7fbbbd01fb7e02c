import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { fieldColumn } from "../columns.ts";
import { described, definition, int32, list, map, object, string, uint32, type Value } from "../schema.ts";
import { Destination, istioName } from "./common.ts";
import { HTTPRoute } from "./http-route.ts";
import { networkingKind } from "./kind.ts";
import type { IstioStatus } from "./status.ts";
import { validateVirtualService } from "./virtual-service-validation.ts";
import { virtualServiceWarnings } from "./virtual-service-warnings.ts";

const RouteDestination = object(
  "A destination with its share of the connections.",
  { destination: Destination },
  { weight: int32("Share of the connections: the weight divided by the sum of all weights.") },
);
type RouteDestination = Value<typeof RouteDestination>;

const subnets = list(
  "Addresses of which the connection must be for one.",
  string("An IP address, or a network in CIDR form."),
);
const matchPort = uint32("The port that the connection is for.");
const sourceLabels = map("Labels that the calling workload must have.", string("The label's value."));
const sourceNamespace = string("The namespace that the calling workload must be in.");
const matchGateways = list(
  "Gateways that the match is for, instead of the rule's own list.",
  string("A gateway, namespace/name, or the word mesh for all sidecars."),
);

export const TLSMatchAttributes = object(
  "Conditions on a TLS connection, all of which must hold.",
  {
    sniHosts: list(
      "Server names of which the connection must ask for one; they must be among the rule's hosts.",
      string("A host name, possibly with a wildcard prefix."),
    ),
  },
  { destinationSubnets: subnets, port: matchPort, sourceLabels, gateways: matchGateways, sourceNamespace },
);
export type TLSMatchAttributes = Value<typeof TLSMatchAttributes>;

export const L4MatchAttributes = object(
  "Conditions on a connection, all of which must hold.",
  {},
  {
    destinationSubnets: subnets,
    port: matchPort,
    sourceSubnet: string("Not used any more."),
    sourceLabels,
    gateways: matchGateways,
    sourceNamespace,
  },
);
export type L4MatchAttributes = Value<typeof L4MatchAttributes>;

export const TLSRoute = object(
  "A rule for TLS connections that are passed on as they are.",
  { match: list("Conditions, of which one must hold.", TLSMatchAttributes) },
  { route: list("Where connections go, by weight.", RouteDestination) },
);
export type TLSRoute = Value<typeof TLSRoute>;

export const TCPRoute = object(
  "A rule for TCP connections.",
  {},
  {
    match: list("Conditions, of which one must hold. Every connection matches unless set.", L4MatchAttributes),
    route: list("Where connections go, by weight.", RouteDestination),
  },
);
export type TCPRoute = Value<typeof TCPRoute>;

export const VirtualServiceSpec = definition(
  istioName("VirtualServiceSpec"),
  object(
    "The hosts, and the rules for requests and connections to them.",
    {},
    {
      hosts: list(
        "Hosts that the rules are for, as callers address them. Absent only where another VirtualService delegates to this one.",
        string("A service's name, a DNS name possibly with a wildcard prefix, or an IP address."),
      ),
      gateways: list(
        "Gateways and sidecars that get the rules. All sidecars (mesh) unless set.",
        string("A gateway, namespace/name, or the word mesh for all sidecars."),
      ),
      http: list("Rules for HTTP requests; the first that matches is used.", HTTPRoute),
      tls: list("Rules for TLS connections; the first that matches is used.", TLSRoute),
      tcp: list("Rules for TCP connections; the first that matches is used.", TCPRoute),
      exportTo: list(
        "Namespaces whose callers see the rules. All unless set.",
        string("A namespace, . for the object's own, or * for all."),
      ),
    },
  ),
);
export type VirtualServiceSpec = Value<typeof VirtualServiceSpec>;

/** Istio's `networking.istio.io/v1.VirtualService`. */
export type VirtualService = Resource<{ readonly spec: VirtualServiceSpec; readonly status?: IstioStatus }>;

export const virtualService: Kind = networkingKind({
  kind: "VirtualService",
  plural: "virtualservices",
  shortNames: ["vs"],
  description: "How requests to a host are routed.",
  spec: described("The hosts, and the rules for requests and connections to them.", VirtualServiceSpec),
  columns: [
    fieldColumn("Gateways", ["spec", "gateways"], "Gateways and sidecars that get the rules."),
    fieldColumn("Hosts", ["spec", "hosts"], "Hosts that the rules are for."),
  ],
  validate: (object) => validateVirtualService(object as VirtualService),
  warnings: (object) => virtualServiceWarnings(object as VirtualService),
});

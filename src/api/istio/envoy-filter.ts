import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import {
  anyObject,
  choice,
  definition,
  described,
  int32,
  list,
  map,
  object,
  string,
  uint32,
  type Value,
} from "../schema.ts";
import { istioName, WorkloadSelector } from "./common.ts";
import { envoyFilterWarnings, matchedObjects, validateEnvoyFilter } from "./envoy-filter-validation.ts";
import { istioKind } from "./kind.ts";
import { policyTargets } from "./policy.ts";
import type { IstioStatus } from "./status.ts";

const ProxyMatch = object(
  "Which proxies, by what they tell of themselves.",
  {},
  {
    proxyVersion: string("A regular expression (RE2) of the proxy's Istio version: ^1\\.31 means all of 1.31."),
    metadata: map("Entries of the proxy's node metadata, all of them.", string("The entry's value.")),
  },
);

const subFilter = object("A filter within the filter.", {}, { name: string("The filter's name.") });

const FilterMatch = object("A filter.", {}, { name: string("The filter's name."), subFilter });

const ListenerMatch = object(
  "A listener, or what is in it.",
  {},
  {
    name: string("The listener's name."),
    portNumber: uint32("The port of the service or of the gateway's server."),
    portName: string("Not used any more."),
    listenerFilter: string("The name of a listener filter."),
    filterChain: object(
      "A filter chain.",
      {},
      {
        name: string("The chain's name."),
        sni: string("A server name that the chain matches."),
        transportProtocol: string("The transport protocol that the chain matches: raw_buffer or tls."),
        applicationProtocols: string("Application protocols that the chain matches, separated by commas."),
        destinationPort: uint32("The destination port that the chain matches."),
        filter: described("A network filter of the chain.", FilterMatch),
      },
    ),
  },
);

const RouteConfigurationMatch = object(
  "A route configuration, or what is in it.",
  {},
  {
    name: string("The configuration's name, such as 80 or http.8080."),
    portNumber: uint32("The port of the service or of the gateway's server."),
    portName: string("The name of the gateway's port."),
    gateway: string("The gateway that it was made for: namespace/name."),
    vhost: object(
      "A virtual host.",
      {},
      {
        name: string("The virtual host's name: host:port."),
        domainName: string("A domain of the virtual host."),
        route: object(
          "A route of the virtual host.",
          {},
          {
            name: string("The route's name."),
            action: choice("What the route does.", ["ANY", "ROUTE", "REDIRECT", "DIRECT_RESPONSE"]),
          },
        ),
      },
    ),
  },
);

const ClusterMatch = object(
  "A cluster.",
  {},
  {
    name: string("The cluster's name."),
    portNumber: uint32("The port of the cluster's service."),
    service: string("The full host name of the cluster's service."),
    subset: string("The subset of the cluster's service."),
  },
);

const WaypointMatch = object(
  "What is in a waypoint's configuration.",
  {},
  {
    portNumber: uint32("The port of the service."),
    filter: described("A network filter.", FilterMatch),
    route: object("A route.", {}, { name: string("The route's name.") }),
  },
);

const ObjectMatch = object(
  "What is patched. Everything that applyTo means unless set.",
  {},
  {
    context: choice("Which proxies' configuration.", [
      "ANY",
      "SIDECAR_INBOUND",
      "SIDECAR_OUTBOUND",
      "GATEWAY",
      "WAYPOINT",
    ]),
    proxy: ProxyMatch,
    listener: ListenerMatch,
    routeConfiguration: RouteConfigurationMatch,
    cluster: ClusterMatch,
    waypoint: WaypointMatch,
  },
  { oneOf: [matchedObjects] },
);

const Patch = object(
  "What is done.",
  {},
  {
    operation: choice("How the value is put in. Required.", [
      "INVALID",
      "MERGE",
      "ADD",
      "REMOVE",
      "INSERT_BEFORE",
      "INSERT_AFTER",
      "INSERT_FIRST",
      "REPLACE",
      "MERGE_AND_REPLACE_LIST",
    ]),
    value: anyObject("Envoy's own configuration of the object, as JSON. Not needed for REMOVE."),
    filterClass: choice("Where an added filter stands among Istio's.", ["UNSPECIFIED", "AUTHN", "AUTHZ", "STATS"]),
  },
);

export const ConfigPatch = object(
  "One change of Envoy's configuration.",
  {},
  {
    applyTo: choice("What kind of thing is patched. Required.", [
      "INVALID",
      "LISTENER",
      "FILTER_CHAIN",
      "NETWORK_FILTER",
      "HTTP_FILTER",
      "ROUTE_CONFIGURATION",
      "VIRTUAL_HOST",
      "HTTP_ROUTE",
      "CLUSTER",
      "EXTENSION_CONFIG",
      "BOOTSTRAP",
      "LISTENER_FILTER",
    ]),
    match: ObjectMatch,
    patch: Patch,
  },
);
export type ConfigPatch = Value<typeof ConfigPatch>;

export const EnvoyFilterSpec = definition(
  istioName("EnvoyFilterSpec"),
  object(
    "Which proxies, and what changes in their configuration.",
    {},
    {
      workloadSelector: described(
        "Which workloads the object is for. All of its namespace unless set.",
        WorkloadSelector,
      ),
      targetRefs: policyTargets.targetRefs,
      configPatches: list("What changes, in this order.", ConfigPatch),
      priority: int32("Objects of lower numbers are applied first; the root namespace before others. 0 unless set."),
    },
  ),
);
export type EnvoyFilterSpec = Value<typeof EnvoyFilterSpec>;

/** Istio's `networking.istio.io/v1alpha3.EnvoyFilter`. */
export type EnvoyFilter = Resource<{ readonly spec: EnvoyFilterSpec; readonly status?: IstioStatus }>;

export const envoyFilter: Kind = istioKind({
  group: "networking.istio.io",
  versions: [{ name: "v1alpha3" }],
  kind: "EnvoyFilter",
  plural: "envoyfilters",
  shortNames: [],
  description: "Patches of the configuration that Envoy gets, for what no other kind can say.",
  spec: EnvoyFilterSpec,
  columns: [],
  validate: (object) => validateEnvoyFilter(object as EnvoyFilter),
  warnings: (object) => envoyFilterWarnings(object as EnvoyFilter),
});

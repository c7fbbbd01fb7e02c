import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { ageColumn } from "../columns.ts";
import { boolean, choice, definition, described, int32, list, map, object, string, type Value } from "../schema.ts";
import { kubernetesKind } from "./kind.ts";
import { ObjectReference, protocols } from "./meta.ts";
import { validateEndpointSlice, validateEndpointSliceUpdate } from "./endpoint-slice-validation.ts";

const discoveryName = (type: string): string => `io.k8s.api.discovery.v1.${type}`;

/** Kubernetes' `discovery/v1.Endpoint`. */
export const Endpoint = definition(
  discoveryName("Endpoint"),
  object(
    "One endpoint.",
    { addresses: list("The endpoint's addresses; only the first is used.", string("An address.")) },
    {
      conditions: object(
        "How the endpoint is.",
        {},
        {
          ready: boolean("Whether it takes traffic. True unless set."),
          serving: boolean("The same, also while it terminates."),
          terminating: boolean("Whether it is about to go."),
        },
      ),
      hostname: string("The endpoint's host name."),
      targetRef: described("The object behind the endpoint, a Pod.", ObjectReference),
      nodeName: string("The endpoint's node."),
      zone: string("The endpoint's zone."),
      hints: object(
        "Who should use the endpoint.",
        {},
        {
          forZones: list("Callers of these zones.", object("A zone.", { name: string("Its name.") }, {})),
          forNodes: list("Callers on these nodes.", object("A node.", { name: string("Its name.") }, {})),
        },
      ),
      deprecatedTopology: map("Not used any more.", string("A value.")),
    },
  ),
);
export type Endpoint = Value<typeof Endpoint>;

/** Kubernetes' `discovery/v1.EndpointPort`. */
export const EndpointPort = definition(
  discoveryName("EndpointPort"),
  object(
    "A port of all endpoints of the slice.",
    {
      name: string("The Service port's name; empty where it has none.", { default: "" }),
      protocol: choice("The transport protocol.", protocols, { default: "TCP" }),
    },
    {
      port: int32("The port's number. Absent for all ports."),
      appProtocol: string("What is spoken on the port."),
    },
    { atomic: true },
  ),
);
export type EndpointPort = Value<typeof EndpointPort>;

/** Kubernetes' `discovery/v1.EndpointSlice`. */
export type EndpointSlice = Resource<{
  readonly addressType: "IPv4" | "IPv6" | "FQDN";
  readonly endpoints: readonly Endpoint[];
  readonly ports?: readonly EndpointPort[];
}>;

/** How many addresses and ports the table shows before it tells only how many more there are. */
const shown = 3;

function shortened(texts: readonly string[]): string {
  const more = texts.length - shown;
  return more > 0 ? `${texts.slice(0, shown).join(",")} + ${more} more...` : texts.join(",");
}

function portsText(slice: EndpointSlice): string {
  if (slice.ports === undefined || slice.ports.length === 0) return "<unset>";
  const ports = slice.ports.map(({ name, port, protocol }) =>
    port === undefined ? `${name}/${protocol}` : String(port),
  );
  return shortened(ports);
}

const description = "Some of the endpoints of a Service.";

export const endpointSlice: Kind = kubernetesKind({
  group: "discovery.k8s.io",
  kind: "EndpointSlice",
  plural: "endpointslices",
  shortNames: [],
  description,
  schema: object(
    description,
    {
      addressType: choice("What all addresses are.", ["IPv4", "IPv6", "FQDN"]),
      endpoints: list("The endpoints.", Endpoint),
    },
    { ports: list("Ports of all endpoints of the slice.", EndpointPort) },
  ),
  columns: [
    {
      name: "AddressType",
      type: "string",
      description: "What the addresses are.",
      cell: (object) => (object as EndpointSlice).addressType,
    },
    { name: "Ports", type: "string", description: "The ports.", cell: (object) => portsText(object as EndpointSlice) },
    {
      name: "Endpoints",
      type: "string",
      description: "The addresses.",
      cell: (object) => {
        const addresses = (object as EndpointSlice).endpoints.flatMap((endpoint) => endpoint.addresses);
        return addresses.length === 0 ? "<unset>" : shortened(addresses);
      },
    },
    ageColumn,
  ],
  status: false,
  validate: (object) => [...validateEndpointSlice(object as EndpointSlice)],
  validateUpdate: (object, before) => [
    ...validateEndpointSliceUpdate(object as EndpointSlice, before as EndpointSlice),
  ],
});

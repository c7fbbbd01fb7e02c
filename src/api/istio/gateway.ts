import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { definition, list, map, object, string, uint32, type Value } from "../schema.ts";
import { istioName, ServerTLSSettings } from "./common.ts";
import { networkingKind } from "./kind.ts";
import type { IstioStatus } from "./status.ts";
import { firstEnd } from "./gateway-credential.ts";
import { validateGateway } from "./gateway-validation.ts";
import { gatewayWarnings } from "./warnings.ts";

export const Server = object(
  "A port that the gateway listens on, and the hosts it serves there.",
  {
    port: object(
      "The port.",
      {
        number: uint32("The port's number."),
        protocol: string("What is spoken on it: HTTP, HTTPS, GRPC, GRPC-WEB, HTTP2, MONGO, TCP or TLS."),
        name: string("The port's name."),
      },
      { targetPort: uint32("Not used any more.") },
    ),
    hosts: list(
      "Hosts that may be reached here.",
      string(
        "A DNS name, possibly with a wildcard prefix; namespace/name takes VirtualServices of one namespace only.",
      ),
    ),
  },
  {
    bind: string("The address to listen on, or a Unix socket. All addresses unless set."),
    tls: ServerTLSSettings,
    defaultEndpoint: string("Not used any more."),
    name: string("A name for logs, of its own among the gateway's servers."),
  },
);
export type Server = Value<typeof Server>;

export const GatewaySpec = definition(
  istioName("GatewaySpec"),
  object(
    "Which proxies act as the gateway, and what they listen on.",
    {},
    {
      servers: list("What the gateway listens on.", Server),
      selector: map("Labels of the gateway's workloads, all of them.", string("The label's value.")),
    },
  ),
);
export type GatewaySpec = Value<typeof GatewaySpec>;

/** Istio's `networking.istio.io/v1.Gateway`. */
export type Gateway = Resource<{ readonly spec: GatewaySpec; readonly status?: IstioStatus }>;

export const gateway: Kind = networkingKind({
  kind: "Gateway",
  plural: "gateways",
  shortNames: ["gw"],
  description: "Ports and hosts at the mesh's edge, served by the proxies that the selector names.",
  spec: GatewaySpec,
  columns: [
    {
      name: "Certificates until",
      type: "string",
      // As Istio's own, the short form has the age alone.
      wide: true,
      description: "When the first of the certificates ends that its servers name.",
      cell: firstEnd,
    },
  ],
  validate: (object) => validateGateway(object as Gateway),
  warnings: (object) => gatewayWarnings(object as Gateway),
});

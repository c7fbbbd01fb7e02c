import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { valueAt } from "../columns.ts";
import { fieldColumn } from "../columns.ts";
import { Condition, LabelSelector } from "../kubernetes/meta.ts";
import { choice, definition, int32, keyedList, list, map, object, string, type Value } from "../schema.ts";
import { validateGateway } from "./gateway-validation.ts";
import { conditionColumn, gatewayApiKind } from "./kind.ts";
import { Listener, listenerStatuses } from "./listener.ts";
import {
  fromNamespaces,
  gatewayName,
  group,
  kind,
  LocalObjectReference,
  namespace,
  objectName,
  port,
  SecretObjectReference,
} from "./names.ts";

const addressType = string("What sort of address: IPAddress, Hostname, or one of an implementation's own.", {
  default: "IPAddress",
  minLength: 1,
  maxLength: 253,
  pattern:
    "^Hostname|IPAddress|NamedAddress|[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*\\/[A-Za-z0-9\\/\\-._~%!$&'()*+,;=:]+$",
});

const ClientValidation = object(
  "How clients' certificates are checked.",
  {},
  {
    validation: object(
      "Which certificates are taken.",
      {
        caCertificateRefs: list(
          "Certificates of authorities.",
          object("Names an object.", { group, kind, name: objectName }, { namespace }),
          { minItems: 1, maxItems: 16 },
        ),
        mode: choice(
          "AllowInsecureFallback takes clients without a valid certificate too.",
          ["AllowValidOnly", "AllowInsecureFallback"],
          { default: "AllowValidOnly" },
        ),
      },
      {},
    ),
  },
);

const GatewayTLS = object(
  "TLS of all listeners, and to all backends.",
  {},
  {
    backend: object("TLS to backends.", {}, { clientCertificateRef: SecretObjectReference }),
    frontend: object(
      "TLS of clients.",
      { default: ClientValidation },
      {
        perPort: keyedList(
          "TLS of clients of single ports.",
          object("TLS of one port's clients.", { port, tls: ClientValidation }, {}),
          ["port"],
          { maxItems: 64 },
        ),
      },
    ),
  },
);

const GatewayInfrastructure = object(
  "What is made for the Gateway.",
  {},
  {
    labels: map("Labels of what is made.", string("A label's value.", { maxLength: 63 }), { maxProperties: 8 }),
    annotations: map("Annotations of what is made.", string("An annotation's value.", { maxLength: 4096 }), {
      maxProperties: 16,
    }),
    parametersRef: LocalObjectReference,
  },
);

export const GatewaySpec = definition(
  gatewayName("GatewaySpec"),
  object(
    "The class of the Gateway, and what it listens on.",
    {
      gatewayClassName: string("The GatewayClass.", { minLength: 1, maxLength: 253 }),
      listeners: keyedList("What the Gateway listens on.", Listener, ["name"], { minItems: 1, maxItems: 64 }),
    },
    {
      addresses: list(
        "Addresses that are asked for.",
        object(
          "An address.",
          { type: addressType },
          { value: string("The address. Any unless set.", { maxLength: 253 }) },
        ),
        { maxItems: 16 },
      ),
      allowedListeners: object(
        "Which ListenerSets may be attached.",
        {
          namespaces: object(
            "Of which namespaces.",
            { from: fromNamespaces(["All", "Selector", "Same", "None"], "None") },
            { selector: LabelSelector },
            { default: { from: "None" } },
          ),
        },
        {},
      ),
      infrastructure: GatewayInfrastructure,
      tls: GatewayTLS,
    },
  ),
);
export type GatewaySpec = Value<typeof GatewaySpec>;

const GatewayStatus = object(
  "What became of the Gateway.",
  {},
  {
    addresses: list(
      "Addresses that the Gateway has.",
      object("An address.", { type: addressType, value: string("The address.", { minLength: 1, maxLength: 253 }) }, {}),
      { maxItems: 16 },
    ),
    attachedListenerSets: int32("How many ListenerSets are attached."),
    conditions: keyedList("The Gateway's state, by aspect.", Condition, ["type"], { maxItems: 8 }),
    listeners: listenerStatuses,
  },
);

/** Gateway API's `v1.Gateway`. */
export type Gateway = Resource<{ readonly spec: GatewaySpec }>;

export const gateway: Kind = gatewayApiKind({
  versions: [{ name: "v1" }, { name: "v1beta1" }],
  kind: "Gateway",
  plural: "gateways",
  shortNames: ["gtw"],
  description: "Ports and hosts to which routes are attached, made and served by the controller of its class.",
  schema: object("A Gateway.", { spec: GatewaySpec }, { status: GatewayStatus }),
  columns: [
    fieldColumn("Class", ["spec", "gatewayClassName"], "The GatewayClass."),
    {
      name: "Address",
      type: "string",
      description: "The first address that the Gateway has.",
      cell: (object) => {
        const [first] = (valueAt(object, "status", "addresses") ?? []) as readonly { readonly value: string }[];
        return first?.value ?? "";
      },
    },
    conditionColumn("Programmed"),
  ],
  waiting: ["Accepted", "Programmed"],
  validate: (object) => validateGateway(object as Gateway),
});

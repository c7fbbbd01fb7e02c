import type { Kind } from "../kind.ts";
import type { Resource } from "../meta.ts";
import { choice, definition, described, list, object, string, type Value } from "../schema.ts";
import {
  ConnectionPoolSettings,
  Destination,
  istioName,
  ServerTLSSettings,
  SidecarPort,
  WorkloadSelector,
} from "./common.ts";
import { networkingKind } from "./kind.ts";
import type { IstioStatus } from "./status.ts";
import { validateSidecar } from "./sidecar-validation.ts";
import { sidecarWarnings } from "./warnings.ts";

const captureMode = choice("How traffic gets to the listener. IPTABLES unless set; NONE where callers connect to it.", [
  "DEFAULT",
  "IPTABLES",
  "NONE",
]);

export const IstioIngressListener = object(
  "A port of the workload.",
  { port: SidecarPort },
  {
    bind: string("The address to listen on."),
    captureMode,
    defaultEndpoint: string(
      "Where the application listens: 127.0.0.1:PORT, [::1]:PORT, 0.0.0.0:PORT (the Pod's address), [::]:PORT or unix:///path.",
    ),
    tls: ServerTLSSettings,
    connectionPool: described("What this port takes, in place of inboundConnectionPool.", ConnectionPoolSettings),
  },
);
export type IstioIngressListener = Value<typeof IstioIngressListener>;

export const IstioEgressListener = object(
  "What the workload may reach, on one port or on all other ports.",
  {
    hosts: list(
      "Services that can be reached.",
      string("namespace/name: namespace may be *, . or ~ (none), name a DNS name with a wildcard prefix or *."),
    ),
  },
  {
    port: SidecarPort,
    bind: string("The address to listen on, or a Unix socket; needs port."),
    captureMode,
  },
);
export type IstioEgressListener = Value<typeof IstioEgressListener>;

export const OutboundTrafficPolicy = object(
  "What becomes of traffic to hosts that the registry does not know.",
  {},
  {
    mode: choice("REGISTRY_ONLY drops it, ALLOW_ANY passes it on.", ["REGISTRY_ONLY", "ALLOW_ANY"]),
    egressProxy: described("Where unknown traffic goes.", Destination),
  },
);
export type OutboundTrafficPolicy = Value<typeof OutboundTrafficPolicy>;

export const SidecarSpec = definition(
  istioName("SidecarSpec"),
  object(
    "Which workloads, what they take and what they reach.",
    {},
    {
      workloadSelector: described(
        "Which workloads the object is for. All of its namespace unless set.",
        WorkloadSelector,
      ),
      ingress: list("Ports of the workload. Taken from its Services unless set.", IstioIngressListener),
      egress: list("What the workload may reach. All services that it can see unless set.", IstioEgressListener),
      inboundConnectionPool: described("What the workload's ports take.", ConnectionPoolSettings),
      outboundTrafficPolicy: described(
        "What becomes of traffic to unknown hosts. The mesh's policy unless set.",
        OutboundTrafficPolicy,
      ),
    },
  ),
);
export type SidecarSpec = Value<typeof SidecarSpec>;

/** Istio's `networking.istio.io/v1.Sidecar`. */
export type Sidecar = Resource<{ readonly spec: SidecarSpec; readonly status?: IstioStatus }>;

export const sidecar: Kind = networkingKind({
  kind: "Sidecar",
  plural: "sidecars",
  shortNames: [],
  description: "Narrows what the proxies of some workloads take and reach.",
  spec: SidecarSpec,
  columns: [],
  validate: (object) => validateSidecar(object as Sidecar),
  warnings: (object) => sidecarWarnings(object as Sidecar),
});
